// What the ranks of a host share, its cores or its links to other hosts: those who use it at the same time get even
// parts, none more than alone.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <queue>
#include <tuple>
#include <vector>

#include "parallel/rank_classes.h"

namespace dml {

/// So many ranks in a row share something evenly, none faster than alone.
struct Sharing {
  int ranks = 1;
  double at_full_speed = 1;  ///< how many of them can use it at a time as if alone
  bool slows() const { return ranks > at_full_speed; }
};

/// Where ranks run, and what they share there.
struct Hosts {
  Sharing cores = {};           ///< those of a host: at full speed run its usable cores / threads of a rank
  double dispatch_seconds = 0;  ///< as of cost/hardware.h, as is the next
  double step_seconds = 0;
  /// What a rank receives and sums is moved by its own core: between its tasks, which that delays, one after the other.
  bool cores_communicate = false;

  /// By which a task takes longer while communication of its rank is under way, where cores do not communicate.
  double overlap_slowdown = 1;
  Sharing uplinks = {};  ///< the links of a host to others
};

/// What runs on hosts, of one rank of each class: hosts with as many ranks of each class are one. A begin or an end
/// takes time logarithmic in the number of hosts and of what runs on one.
class SharedHosts {
 public:
  /// Classes as divided_by_places makes them where more ranks share than have full speed.
  SharedHosts(const RankClasses& classes, const Sharing& sharing);

  /// A class begins what takes so many seconds alone. `task` comes back from its end.
  void begin(int rank_class, std::int32_t task, double seconds, double now);
  /// When what runs ends next, if nothing begins before; infinite where nothing runs.
  double next_end();
  struct Ended {
    int rank_class = 0;
    std::int32_t task = 0;
  };
  Ended end_next();

 private:
  struct Host {
    /// What everything that runs here from the start on has done: it grows by min(1, speed / running).
    double work = 0;
    double since = 0;  ///< the time of `work`
    int running = 0;   ///< ranks
    std::uint32_t changes = 0;
    using End = std::tuple<double, int, std::int32_t>;  // work, class, task
    std::priority_queue<End, std::vector<End>, std::greater<>> ends;
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
