#include "tests/device_emulator/engine/block.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/device_emulator/emulator.h"
#include "tests/device_emulator/engine/fiber.h"
#include "tests/device_emulator/engine/memory.h"
#include "tests/device_emulator/engine/settings.h"
#include "tests/device_emulator/engine/shared/shared_memory.h"
#include "tests/device_emulator/engine/shared/shared_races.h"

namespace dml::emulator {

__thread ThreadView* running_thread;
__thread Block running_block;

namespace {

enum class State : unsigned char { waits, ready, ended };

struct Thread : ThreadView {
  unsigned linear = 0;
  State state = State::ready;
  bool at_barrier = false;
  Fiber* fiber = nullptr;
  Site site;
};

/// One operation that lanes of a warp come to together. Results stay in one of two buffers until all have read them.
struct Meeting {
  unsigned mask = 0;
  unsigned arrived = 0;
  unsigned present = 0;  // of the last turn
  unsigned unread = 0;   // who of them has not seen its result
  unsigned turn = 0;
  std::uint64_t values[2][kLanes];
};

struct Warp {
  static constexpr int kMeetings = 8;  // different masks at once
  Meeting meetings[kMeetings];
  int num_meetings = 0;
  unsigned alive = 0;
};

/// What a thread of the operating system keeps: its own stack, and the shared memory of its blocks.
struct OfThread {
  Fiber main;
  SharedMemory shared;
};

class Runner {
 public:
  void run(const Launch& launch, const void* arguments);
  void wait_for_block(const Site& site);
  int vote(bool predicate, Vote vote, const Site& site);
  const std::uint64_t* exchange(unsigned mask, std::uint64_t value, unsigned& present);
  void note_access(const void* address, std::size_t bytes, bool is_write);
  const Launch* launch() const { return launch_; }

 private:
  void run_block(uint3 index);
  void reset_block();
  void work(Fiber& self);
  static void enter(void* runner);
  Thread* next_ready();
  void start(Thread& thread, Fiber& self);
  void end(Thread& thread);
  void wait(Thread& thread);
  Fiber& idle_fiber();
  void release_barrier();
  void complete(unsigned first, Meeting& meeting);
  Meeting& meeting_of(Warp& warp, unsigned mask);
  void check_shared_access(std::size_t offset, std::size_t bytes, bool is_write);
  void check_device_access(const void* address, std::size_t bytes, bool is_write);
  [[noreturn]] void stuck();
  static Thread& running() { return static_cast<Thread&>(*running_thread); }

  const Launch* launch_ = nullptr;
  const void* arguments_ = nullptr;
  unsigned num_threads_ = 0;
  unsigned num_started_ = 0;
  unsigned num_ended_ = 0;
  unsigned num_at_barrier_ = 0;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<unsigned> start_order_;
  std::vector<Thread*> ready_;  // a queue: from first_ready_ on
  std::size_t first_ready_ = 0;
  OfThread* own_ = nullptr;  // of the thread that runs the grid
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  Fiber* entering_ = nullptr;
  int votes_[3] = {};
  int results_[3] = {};
  SharedRaces races_;
  std::array<Allocation, 8> known_allocations_;  // that accesses were in lately
  std::size_t next_known_ = 0;
  std::mt19937_64 random_;
};

/// Each belongs to a thread of the operating system for as long as a grid runs.
class Runners {
 public:
  std::unique_ptr<Runner> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !idle_.empty() || num_made_ < kMost; });
    if (idle_.empty()) {
      ++num_made_;
      return std::make_unique<Runner>();
    }
    std::unique_ptr<Runner> taken = std::move(idle_.back());
    idle_.pop_back();
    return taken;
  }
  void give_back(std::unique_ptr<Runner> runner) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(runner));
    changed_.notify_one();
  }

 private:
#if defined(__SANITIZE_THREAD__)
  // A runner has up to 1024 fibers. ThreadSanitizer knows 8128 of them, and needs nine mappings for each, of which
  // Linux gives a process 65530.
  static constexpr std::size_t kMost = 4;
#else
  static constexpr std::size_t kMost = ~std::size_t{0};
#endif
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Runner>> idle_;
  std::size_t num_made_ = 0;
};

Runners& runners() {
  static auto* all = new Runners;  // lives until the process has ended: threads of the device may still use it
  return *all;
}

__thread Runner* runner;  // of the grid that this thread runs

std::string text_of(const Site& site) {
  return " " + std::string(site.file) + ":" + std::to_string(site.line) + ":" + std::to_string(site.column);
}

void Runner::run(const Launch& launch, const void* arguments) {
  static thread_local OfThread own;
  own_ = &own;
  launch_ = &launch;
  arguments_ = arguments;
  num_threads_ = launch.block.x * launch.block.y * launch.block.z;
  if (threads_.size() < num_threads_) {
    threads_.resize(num_threads_);
    warps_.resize((num_threads_ + kLanes - 1) / kLanes);
  }
  const Order order = settings().order;
  random_.seed(draw(launch.number, 1, 0));
  start_order_.resize(num_threads_);
  std::iota(start_order_.begin(), start_order_.end(), 0u);
  if (order == Order::reverse) std::reverse(start_order_.begin(), start_order_.end());
  own_->shared.prepare(*launch.kernel, launch.dynamic_shared_bytes);
  known_allocations_.fill({});
  running_block = {{}, launch.block, launch.grid, own_->shared.dynamic()};
  unsigned x = 0, y = 0, z = 0;
  for (unsigned i = 0; i < num_threads_; ++i) {
    Thread& thread = threads_[i];
    thread.index = {x, y, z};
    thread.lane = i % kLanes;
    thread.linear = i;
    if (++x == launch.block.x) {
      x = 0;
      if (++y == launch.block.y) y = 0, ++z;
    }
  }
  const std::size_t num_blocks = std::size_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  std::vector<std::size_t> blocks;
  if (order == Order::random) {
    blocks.resize(num_blocks);
    std::iota(blocks.begin(), blocks.end(), std::size_t{0});
    std::shuffle(blocks.begin(), blocks.end(), random_);
  }
  for (std::size_t i = 0; i < num_blocks; ++i) {
    std::size_t block = i;
    if (order == Order::reverse) block = num_blocks - 1 - i;
    if (order == Order::random) block = blocks[i];
    run_block({static_cast<unsigned>(block % launch.grid.x),
               static_cast<unsigned>(block / launch.grid.x % launch.grid.y),
               static_cast<unsigned>(block / launch.grid.x / launch.grid.y)});
  }
  launch_ = nullptr;
  running_thread = nullptr;
}

void Runner::run_block(uint3 index) {
  running_block.index = index;
  own_->shared.poison();
  races_.begin_block(own_->shared.bytes(), (num_threads_ + kLanes - 1) / kLanes);
  reset_block();
  work(own_->main);
  if (const std::string fault = own_->shared.fault(); !fault.empty()) violation(fault);
}

void Runner::reset_block() {
  num_started_ = num_ended_ = num_at_barrier_ = 0;
  ready_.clear();
  first_ready_ = 0;
  votes_[0] = 0, votes_[1] = 1, votes_[2] = 0;
  for (unsigned warp = 0; warp * kLanes < num_threads_; ++warp) {
    warps_[warp].num_meetings = 0;
    const unsigned lanes = std::min(kLanes, num_threads_ - warp * kLanes);
    warps_[warp].alive = lanes == kLanes ? ~0u : (1u << lanes) - 1;
  }
  if (settings().order == Order::random) std::shuffle(start_order_.begin(), start_order_.end(), random_);
}

Thread* Runner::next_ready() {
  if (first_ready_ == ready_.size()) {
    ready_.clear();
    first_ready_ = 0;
    return nullptr;
  }
  if (settings().order == Order::random) {
    std::swap(ready_[first_ready_], ready_[first_ready_ + random_() % (ready_.size() - first_ready_)]);
  }
  return ready_[first_ready_++];
}

// What every fiber does: threads that have not begun run here, until there are none; those that wait stay on their
// fibers.
void Runner::work(Fiber& self) {
  for (;;) {
    if (Thread* thread = next_ready()) {
      idle_.push_back(&self);
      self.switch_to(*thread->fiber);
    } else if (num_started_ < num_threads_) {
      start(threads_[start_order_[num_started_++]], self);
    } else if (num_ended_ < num_threads_) {
      stuck();
    } else if (&self == &own_->main) {
      return;
    } else {
      std::erase(idle_, &own_->main);
      idle_.push_back(&self);
      self.switch_to(own_->main);
    }
  }
}

void Runner::start(Thread& thread, Fiber& self) {
  thread.fiber = &self;
  thread.state = State::ready;
  thread.at_barrier = false;
  running_thread = &thread;
  launch_->kernel->call(arguments_);
  end(thread);
}

// A thread that ends can be the one that others wait for.
void Runner::end(Thread& thread) {
  thread.state = State::ended;
  ++num_ended_;
  Warp& warp = warps_[thread.linear / kLanes];
  warp.alive &= ~(1u << thread.lane);
  for (int i = 0; i < warp.num_meetings; ++i) {
    Meeting& meeting = warp.meetings[i];
    if (meeting.arrived != 0 && (meeting.mask & warp.alive & ~meeting.arrived) == 0) {
      complete(thread.linear - thread.lane, meeting);
    }
  }
  if (num_at_barrier_ > 0 && num_at_barrier_ + num_ended_ == num_threads_) release_barrier();
}

void Runner::enter(void* runner) {
  auto* self = static_cast<Runner*>(runner);
  self->work(*self->entering_);
}

Fiber& Runner::idle_fiber() {
  if (idle_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>(settings().stack_bytes, &Runner::enter, this));
    entering_ = fibers_.back().get();
    return *entering_;
  }
  Fiber* fiber = idle_.back();
  idle_.pop_back();
  return *fiber;
}

void Runner::wait(Thread& thread) {
  thread.state = State::waits;
  Fiber& self = *thread.fiber;
  if (Thread* next = next_ready()) {
    self.switch_to(*next->fiber);
  } else if (num_started_ < num_threads_) {
    self.switch_to(idle_fiber());
  } else {
    stuck();
  }
  running_thread = &thread;
}

void Runner::stuck() {
  std::string text = "deadlock in a block: " + std::to_string(num_at_barrier_) + " threads wait at __syncthreads, " +
                     std::to_string(num_threads_ - num_ended_ - num_at_barrier_) + " at a warp operation, " +
                     std::to_string(num_ended_) + " of " + std::to_string(num_threads_) + " have ended";
  for (const Thread& thread : threads_) {
    if (!thread.at_barrier || thread.state != State::waits) continue;
    text += text_of(thread.site);
    break;
  }
  violation(text);
}

void Runner::release_barrier() {
  const Site* first = nullptr;
  for (unsigned i = 0; i < num_threads_; ++i) {
    Thread& thread = threads_[i];
    if (!thread.at_barrier) continue;
    if (first == nullptr) first = &thread.site;
    if (first->line != thread.site.line || first->column != thread.site.column ||
        std::strcmp(first->file, thread.site.file) != 0) {
      violation("divergent __syncthreads: threads of one block wait at" + text_of(*first) + " and at" +
                text_of(thread.site));
    }
    thread.at_barrier = false;
    if (thread.state == State::waits) {
      thread.state = State::ready;
      ready_.push_back(&thread);
    }
  }
  num_at_barrier_ = 0;
  races_.pass_barrier();
  std::copy(std::begin(votes_), std::end(votes_), std::begin(results_));
  votes_[0] = 0, votes_[1] = 1, votes_[2] = 0;
}

void Runner::wait_for_block(const Site& site) {
  Thread& thread = running();
  thread.site = site;
  thread.at_barrier = true;
  ++num_at_barrier_;
  if (num_at_barrier_ + num_ended_ == num_threads_) {
    release_barrier();
  } else {
    wait(thread);
  }
}

int Runner::vote(bool predicate, Vote vote, const Site& site) {
  votes_[0] += predicate ? 1 : 0;
  votes_[1] &= predicate ? 1 : 0;
  votes_[2] |= predicate ? 1 : 0;
  wait_for_block(site);
  return results_[static_cast<int>(vote)];
}

Meeting& Runner::meeting_of(Warp& warp, unsigned mask) {
  Meeting* free = nullptr;
  for (int i = 0; i < warp.num_meetings; ++i) {
    if (warp.meetings[i].mask == mask) return warp.meetings[i];
    if (warp.meetings[i].arrived == 0 && warp.meetings[i].unread == 0) free = &warp.meetings[i];
  }
  if (free == nullptr) {
    if (warp.num_meetings == Warp::kMeetings) violation("warp operations with more than 8 different masks at once");
    free = &warp.meetings[warp.num_meetings++];
  }
  free->mask = mask;
  free->arrived = free->unread = 0;
  return *free;
}

void Runner::complete(unsigned first, Meeting& meeting) {
  for (unsigned rest = meeting.arrived; rest != 0; rest &= rest - 1) {
    Thread& thread = threads_[first + static_cast<unsigned>(__builtin_ctz(rest))];
    if (thread.state != State::waits) continue;
    thread.state = State::ready;
    ready_.push_back(&thread);
  }
  meeting.present = meeting.unread = meeting.arrived;
  meeting.arrived = 0;
  ++meeting.turn;
  races_.pass_warp_operation(first / kLanes);
}

const std::uint64_t* Runner::exchange(unsigned mask, std::uint64_t value, unsigned& present) {
  Thread& thread = running();
  Warp& warp = warps_[thread.linear / kLanes];
  const unsigned bit = 1u << thread.lane;
  if ((mask & bit) == 0) violation("a warp operation is called by a lane that is not in its mask");
  Meeting& meeting = meeting_of(warp, mask);
  std::uint64_t* values = meeting.values[meeting.turn % 2];
  values[thread.lane] = value;
  meeting.arrived |= bit;
  if ((mask & warp.alive & ~meeting.arrived) == 0) {
    complete(thread.linear - thread.lane, meeting);
  } else {
    wait(thread);
  }
  present = meeting.present;
  meeting.unread &= ~bit;
  return values;
}

void Runner::check_shared_access(std::size_t offset, std::size_t bytes, bool is_write) {
  const SharedRaces::Race race = races_.note(running().linear, offset, bytes, is_write);
  if (!race.is_found) return;
  const uint3& other = threads_[race.other].index;
  violation(std::string("race in shared memory: ") + (is_write ? "written" : "read") + " here, " +
            (race.other_wrote ? "written" : "read") + " by thread (" + std::to_string(other.x) + ", " +
            std::to_string(other.y) + ", " + std::to_string(other.z) + ") with no barrier between");
}

void Runner::check_device_access(const void* address, std::size_t bytes, bool is_write) {
  const auto* begin = static_cast<const char*>(address);
  for (const Allocation& known : known_allocations_) {
    if (begin >= known.begin && begin + bytes <= known.begin + known.bytes) return;
  }
  if (const std::string fault = range_fault(address, bytes); !fault.empty()) {
    violation(std::to_string(bytes) + " bytes are " + (is_write ? "written" : "read") + " at a place that " + fault);
  }
  known_allocations_[next_known_++ % known_allocations_.size()] = allocation_of(address);
}

void Runner::note_access(const void* address, std::size_t bytes, bool is_write) {
  if (launch_ == nullptr || running_thread == nullptr) return;  // host code of the kernels' library
  if (const auto offset = own_->shared.offset_of(address)) {
    check_shared_access(*offset, bytes, is_write);
  } else if (is_device_memory(address)) {
    check_device_access(address, bytes, is_write);
  }
}

}  // namespace

void run_grid(const Launch& launch, const void* arguments) {
  std::unique_ptr<Runner> taken = runners().take();
  runner = taken.get();
  runner->run(launch, arguments);
  runner = nullptr;
  runners().give_back(std::move(taken));
}

long long clock_of_device() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void wait_for_block(const Site& site) { runner->wait_for_block(site); }
int vote_of_block(bool predicate, Vote vote, const Site& site) { return runner->vote(predicate, vote, site); }
const std::uint64_t* exchange_in_warp(unsigned mask, std::uint64_t value, unsigned& present) {
  return runner->exchange(mask, value, present);
}

void note_access(const void* address, std::size_t bytes, bool is_write) {
  if (runner != nullptr) runner->note_access(address, bytes, is_write);
}

const char* running_place(char* text, std::size_t bytes) {
  text[0] = '\0';
  if (runner == nullptr || runner->launch() == nullptr) return text;
  const uint3 block = running_block.index;
  const uint3 thread = running_thread == nullptr ? uint3{} : running_thread->index;
  std::snprintf(text, bytes, "kernel %s, block (%u, %u, %u), thread (%u, %u, %u)", runner->launch()->name, block.x,
                block.y, block.z, thread.x, thread.y, thread.z);
  return text;
}

}  // namespace dml::emulator
