// What one rank has in flight on all of its communicators, and how it waits. Shared by the rank's communicators.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "runtime/comm/operation.h"
#include "runtime/comm/transport.h"

namespace dml {

class Engine {
 public:
  explicit Engine(std::unique_ptr<Transport> transport);

  Transport& transport() { return *transport_; }
  /// Begins to advance an operation whose messages are posted.
  void start(Operation& operation);
  void progress();
  /// Returns when `operation` is no longer at `generation`; throws TimeoutError past the deadline.
  void wait(const Operation& operation, std::uint64_t generation, std::chrono::milliseconds deadline);
  void withdraw(Operation& operation) noexcept;
  void withdraw_all() noexcept;
  /// Makes room for so many more operations and messages in flight.
  void reserve(int operations, int requests);

 private:
  static void finish(Operation& operation);
  void advance_all();

  std::unique_ptr<Transport> transport_;
  std::vector<Operation*> active_;  ///< in order of posting
  int reserved_operations_ = 0;
  int reserved_requests_ = 0;
};

}  // namespace dml
