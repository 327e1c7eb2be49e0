// An operation in flight: a state machine over lanes of messages, advanced by whoever progresses the rank. Operations
// are pooled by their communicator and used again, so a steady program allocates nothing.
#pragma once

#include <chrono>
#include <deque>
#include <string>
#include <vector>

#include "kernels/tensor.h"
#include "runtime/comm/lanes.h"

namespace dml {

/// Label of a collective's messages: collectives have odd labels, sends even ones, and each collective of a group its
/// own sequence number, so that any number of them can be in flight.
constexpr int collective_label(std::int64_t sequence, int phase) {
  return static_cast<int>(((sequence % (1 << 18)) * 4 + phase) * 2 + 1);
}
constexpr int channel_label(int channel) { return channel * 2; }

class Operation {
 public:
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  /// Moves on as far as it can without waiting; true when finished.
  virtual bool advance() = 0;
  /// Takes back all messages, wherever they are.
  virtual void cancel() noexcept;
  /// Who waited how long for what, from or to whom.
  std::string describe_wait(std::chrono::milliseconds waited) const;

  // What its communicator knows it by.
  const char* kind = "";
  TensorView view;                          ///< the caller's buffer
  std::uint32_t slot = 0;                   ///< place in the communicator's table
  std::uint64_t generation = 1;             ///< of its present use; one more when finished
  std::vector<Operation*>* pool = nullptr;  ///< where it rests between uses

 protected:
  Operation(Transport& transport, const Group& group) : transport_(transport), group_(group) {}
  Lanes& add_receives() { return receives_.emplace_back(transport_, group_); }
  Lanes& add_sends() { return sends_.emplace_back(transport_, group_); }
  /// The peer `distance` places after this rank. Ranks that begin with their successor do not all press on rank 0.
  int peer_after(int distance) const { return (group_.rank + distance) % group_.size(); }

  Transport& transport_;
  const Group& group_;

 private:
  std::deque<Lanes> receives_, sends_;
};

}  // namespace dml
