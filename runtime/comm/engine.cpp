#include "runtime/comm/engine.h"

#include <sched.h>

#include <algorithm>
#include <thread>

#include "kernels/error.h"

namespace dml {

namespace {

/// Waiting that leaves the core to others: a few looks at once, then yields, then sleeps that grow. Ranks often
/// outnumber cores, and the one that is waited for may need this core.
class Backoff {
 public:
  using Clock = std::chrono::steady_clock;

  void pause() {
    ++round_;
    if (round_ < kLooks) return;
    if (round_ < kLooks + kYields) {
      sched_yield();
      return;
    }
    const auto sleeps = std::min(round_ - kLooks - kYields + 1, kMostSleepSteps);
    std::this_thread::sleep_for(kSleepStep * sleeps);
  }
  std::chrono::milliseconds waited() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin_);
  }

 private:
  static constexpr int kLooks = 4;
  static constexpr int kYields = 200;
  static constexpr int kMostSleepSteps = 5;
  static constexpr std::chrono::microseconds kSleepStep{20};

  int round_ = 0;
  Clock::time_point begin_ = Clock::now();
};

/// Of one call of progress, which should stay short.
constexpr int kMostRounds = 8;

}  // namespace

Engine::Engine(std::unique_ptr<Transport> transport) : transport_(std::move(transport)) { reserve(64, 64); }

void Engine::reserve(int operations, int requests) {
  reserved_operations_ += operations;
  reserved_requests_ += requests;
  active_.reserve(static_cast<std::size_t>(reserved_operations_));
  transport_->reserve(reserved_requests_);
}

void Engine::finish(Operation& operation) {
  ++operation.generation;
  operation.pool->push_back(&operation);
}

void Engine::start(Operation& operation) {
  try {
    active_.push_back(&operation);
    if (!operation.advance()) return;
    active_.pop_back();
    finish(operation);
  } catch (...) {
    withdraw_all();
    throw;
  }
}

void Engine::progress() {
  try {
    // What arrives lets operations post more, which may be done at once: a rank that computes for a while between two
    // calls should lose no step to that.
    for (int round = 0; round < kMostRounds; ++round) {
      const bool moved = transport_->progress();
      if (active_.empty()) return;
      advance_all();
      if (!moved) return;
    }
  } catch (...) {
    withdraw_all();
    throw;
  }
}

void Engine::advance_all() {
  std::erase_if(active_, [](Operation* operation) {
    const bool finished = operation->advance();
    if (finished) finish(*operation);
    return finished;
  });
}

void Engine::wait(const Operation& operation, std::uint64_t generation, std::chrono::milliseconds deadline) {
  Backoff backoff;
  for (;;) {
    progress();
    if (operation.generation != generation) return;
    backoff.pause();
    const auto waited = backoff.waited();
    if (waited < deadline) continue;
    const std::string text = operation.describe_wait(waited);
    transport_->fail(text);
    withdraw_all();
    throw TimeoutError(text);
  }
}

void Engine::withdraw(Operation& operation) noexcept {
  std::erase(active_, &operation);
  operation.cancel();
}

void Engine::withdraw_all() noexcept {
  for (Operation* operation : active_) operation->cancel();
  active_.clear();
}

}  // namespace dml
