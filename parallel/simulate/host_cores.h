// The cores of hosts: ranks that compute at the same time on a host share them evenly, none faster than alone.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <queue>
#include <utility>
#include <vector>

#include "parallel/rank_classes.h"

namespace dml {

/// Where ranks run: rank r on host r / ranks_per_host. Ranks that compute at the same time on a host share its cores
/// evenly, none faster than alone.
struct Hosts {
  int ranks_per_host = 1;
  double ranks_at_full_speed = 1;  ///< usable cores of a host / threads of a rank
  double dispatch_seconds = 0;     ///< as of cost/hardware.h, as is the next
  double step_seconds = 0;
  /// What a rank receives and sums is moved by its own core: between its tasks, which that delays, one after the other.
  bool cores_communicate = false;

  bool are_shared() const { return ranks_per_host > ranks_at_full_speed; }
};

/// The tasks that run on hosts, of one rank of each class: hosts with as many ranks of each class are one. A begin or
/// an end takes time logarithmic in the number of hosts and of a host's running tasks.
class HostCores {
 public:
  /// Classes as divided_by_places makes them where hosts are shared.
  HostCores(const RankClasses& classes, const Hosts& hosts);

  /// A class begins a task of so many seconds on cores of its own.
  void begin(int rank_class, double seconds, double now);
  /// When the next task ends, if none begins before; infinite where none runs.
  double next_end();
  /// Ends that task; its class.
  int end_next();

 private:
  struct Host {
    /// What every task that runs here from the start on has done: it grows by min(1, speed / running).
    double work = 0;
    double since = 0;  ///< the time of `work`
    int running = 0;   ///< ranks
    std::uint32_t changes = 0;
    std::priority_queue<std::pair<double, int>, std::vector<std::pair<double, int>>, std::greater<>>
        ends;  // work, class
  };
  struct Event {
    double at = 0;
    int host = 0;
    std::uint32_t changes = 0;  ///< of the host when the event was foreseen: after more of them it is void
    bool operator>(const Event& other) const { return at > other.at; }
  };

  double speed(const Host& host) const;
  void go_on(Host& host, double now) const;
  void foresee(int number);

  double ranks_at_full_speed_;
  std::vector<Host> hosts_;
  std::vector<int> host_of_;      ///< by class
  std::vector<int> ranks_there_;  ///< by class: how many of it each of its hosts holds
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
};

}  // namespace dml
