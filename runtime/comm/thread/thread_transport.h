// Ranks as threads of one process. A send and a receive meet in the mailbox of their pair of ranks; whichever comes
// second copies the bytes, once, straight from buffer to buffer. A borrowed message is not copied at all.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/comm/transport.h"

namespace dml {

struct Mailbox;

struct ThreadRequest final : Request {
  enum class Role : std::uint8_t { send, receive, borrow };
  /// posted: in the mailbox. taken: the peer copies. lent: the peer may read. read: it does. withdrawn: it may no more.
  enum class State : std::uint8_t { posted, taken, lent, read, finished, withdrawn };

  Role role = Role::send;
  std::atomic<State> state{State::posted};
  void* data = nullptr;
  std::size_t bytes = 0;
  int group = 0;
  int label = 0;
  Mailbox* mailbox = nullptr;
  ThreadRequest* partner = nullptr;  ///< of a borrow that is done: the send
  ThreadRequest* next = nullptr;     ///< in a mailbox or among the free
};

/// First in, first out, by (group, label). Holds no memory of its own.
class RequestQueue {
 public:
  void push(ThreadRequest* request);
  /// Removes the oldest of this group and label, or returns null.
  ThreadRequest* take(int group, int label);
  bool remove(ThreadRequest* request);

 private:
  void unlink(ThreadRequest* previous, ThreadRequest* request);
  ThreadRequest* first_ = nullptr;
  ThreadRequest* last_ = nullptr;
};

/// What one rank has posted to one other and not yet met its match.
struct Mailbox {
  std::mutex mutex;
  RequestQueue sends, receives;
};

/// What the ranks share. Outlives all of them: requests stay readable for peers of a rank that is gone.
class ThreadWorld {
 public:
  explicit ThreadWorld(int size);

  int size() const { return size_; }
  Mailbox& mailbox(int source, int destination) {
    return mailboxes_[static_cast<std::size_t>(source) * static_cast<std::size_t>(size_) +
                      static_cast<std::size_t>(destination)];
  }
  std::deque<ThreadRequest>& requests(int rank) { return requests_[static_cast<std::size_t>(rank)]; }
  int next_group() { return groups_.fetch_add(1, std::memory_order_relaxed); }

  void fail(const std::string& reason) noexcept;
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  /// Of the first failure.
  std::string reason() const;

 private:
  int size_;
  std::vector<Mailbox> mailboxes_;
  std::vector<std::deque<ThreadRequest>> requests_;  ///< by the rank that posts them
  std::atomic<int> groups_{1};
  std::atomic<bool> failed_{false};
  mutable std::mutex mutex_;
  std::string reason_;
};

class ThreadTransport final : public Transport {
 public:
  ThreadTransport(std::shared_ptr<ThreadWorld> world, int rank);

  const char* name() const override { return "thread"; }
  int world_rank() const override { return rank_; }
  Request* send(const void* data, std::size_t bytes, const Group& group, int peer, int label) override;
  Request* receive(void* data, std::size_t bytes, const Group& group, int peer, int label) override;
  Request* borrow(void* scratch, std::size_t bytes, const Group& group, int peer, int label) override;
  bool lends() const override { return true; }
  const void* open(Request* request) override;
  void recycle(Request* request) noexcept override;
  void cancel(Request* request) noexcept override;
  void reserve(int requests) override;
  bool progress() override;
  void fail(const std::string& reason) noexcept override;
  int propose_group() override { return world_->next_group(); }
  int open_group(const Group&, int, int, int proposed) override { return proposed; }
  void close_group(int) noexcept override {}

 private:
  ThreadRequest* take_free();
  Request* post(ThreadRequest::Role role, void* data, std::size_t bytes, const Group& group, int peer, int label);
  void meet(ThreadRequest& send, ThreadRequest& receive, int peer);
  void give_back(ThreadRequest& borrow) noexcept;
  void withdraw(ThreadRequest& request) noexcept;

  std::shared_ptr<ThreadWorld> world_;
  int rank_;
  ThreadRequest* free_ = nullptr;
};

}  // namespace dml
