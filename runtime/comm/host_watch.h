// Notices that a host is gone. A launcher may end the ranks of the others without a word, and a rank that waits knows
// only whom it waits for, which may be a rank that waits itself. So the first rank of every host keeps a connection to
// that of the first host, over which both say that they live. A thread of its own does so, whatever the rank computes.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "kernels/error.h"
#include "runtime/comm/hosts.h"

namespace dml {

/// A host whose connection broke, or that has not been heard of for too long.
class LostHostError : public CommError {
 public:
  LostHostError(const std::string& text, bool speaks) : CommError(text), speaks_(speaks) {}
  /// True on one of the ranks that are left: the one that should say it.
  bool speaks() const { return speaks_; }

 private:
  bool speaks_;
};

/// Where the first host listens. Plain numbers, which can be broadcast.
struct WatchAddress {
  std::array<std::uint32_t, 16> ipv4{};  ///< of its interfaces, in network order; 0 where there are no more
  std::uint64_t secret = 0;              ///< by which the connections of this run know each other
  std::uint32_t port = 0;                ///< in network order
};

/// One for each host, held by its first rank. A host that cannot reach the first one (a firewall) is not watched: there
/// the deadline of every wait remains.
class HostWatch {
 public:
  /// This process is on `host`. Host 0 begins to listen. `silence` is how long a host may say nothing.
  HostWatch(HostTable hosts, int host, std::chrono::milliseconds silence);
  /// Takes leave of the others.
  ~HostWatch();
  HostWatch(const HostWatch&) = delete;
  HostWatch& operator=(const HostWatch&) = delete;

  /// Of host 0; empty elsewhere.
  const WatchAddress& address() const { return address_; }
  /// Connects to host 0, or, there, to all others; returns when that is done or has taken too long. Called on all hosts
  /// at the same time.
  void start(const WatchAddress& first_host);
  /// Throws LostHostError where a host is lost. Cheap.
  void check() const {
    if (lost_.load(std::memory_order_acquire) >= 0) throw_lost();
  }
  /// Tells the others that this process ends knowingly, so that they don't take it for lost.
  void leave() noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  enum class Word : std::int32_t { alive, leaving, broken, silent };
  struct Message {
    Word word = Word::alive;
    std::int32_t host = 0;  ///< that is meant
  };
  struct Peer {
    int host = 0;
    int socket = -1;
    Clock::time_point heard;
    bool has_left = false;
    std::size_t received = 0;  ///< bytes of the message that is on its way
    Message message;
  };

  void listen();
  void accept_all();
  void connect_to_first(const WatchAddress& first_host);
  void watch();
  void wait_for_words() const;
  void read(Peer& peer);
  void obey(Peer& peer);
  void report(int host, Word how);
  void say(Message message) const noexcept;
  [[noreturn]] void throw_lost() const;

  const HostTable hosts_;
  const int host_;
  const std::chrono::milliseconds silence_;
  const std::chrono::milliseconds beat_;
  WatchAddress address_;
  int listener_ = -1;
  int wake_ = -1;            ///< an event that ends the thread's wait
  std::vector<Peer> peers_;  ///< fixed once started
  std::atomic<int> lost_{-1};
  std::atomic<bool> was_silent_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace dml
