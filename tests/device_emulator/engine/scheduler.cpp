#include "tests/device_emulator/engine/scheduler.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <thread>

#include "tests/device_emulator/engine/faults.h"
#include "tests/device_emulator/engine/memory.h"
#include "tests/device_emulator/engine/settings.h"

namespace dml::emulator {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPause = std::chrono::microseconds(50);
constexpr auto kIdle = std::chrono::milliseconds(20);  // a host that is away for so long waits for somebody else

void make_ready(Task& task) {
  auto& ready = queues().ready;
  ready.insert(std::upper_bound(ready.begin(), ready.end(), &task,
                                [](const Task* a, const Task* b) { return a->number < b->number; }),
               &task);
}

void sweep() {
  auto& all = queues();
  if (all.pending.size() < 64 || all.pending.size() < 2 * all.num_pending) return;
  std::erase_if(all.pending, [](const TaskPointer& task) { return task->state == Task::done; });
}

void finish(Task& task) {
  auto& all = queues();
  task.state = Task::done;
  task.done_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
  for (Task* next : task.after) {
    if (--next->num_before == 0) make_ready(*next);
  }
  task.after.clear();
  task.before.clear();
  task.execution = {};
  --all.num_pending;
  all.changed.notify_all();
}

void check_unwritten(const Task& task) {
  if (!settings().check_uninitialised) return;
  for (const Range& range : task.ranges) {
    if (range.write || !is_device_memory(range.address)) continue;
    const std::size_t first = first_unwritten(range.address, range.bytes);
    if (first == range.bytes) continue;
    violation(task.name + " reads memory that nobody has written: byte " + std::to_string(first) + " of " +
              std::to_string(range.bytes) + " bytes in allocation #" +
              std::to_string(allocation_of(range.address).number));
  }
}

void run_task(Lock& lock, Task& task) {
  auto& all = queues();
  std::erase(all.ready, &task);
  task.state = Task::runs;
  ++all.num_running;
  lock.unlock();
  if (settings().verbose) {
    std::fprintf(stderr, "emulator: #%llu %s on stream %llu\n", static_cast<unsigned long long>(task.number),
                 task.name.c_str(), static_cast<unsigned long long>(task.stream->id));
  }
  if (task.execution.run) {
    const DeviceAccess access;
    check_unwritten(task);
    task.execution.run();
    check_guards(task.name);
  }
  const int fault = injected_fault();
  lock.lock();
  --all.num_running;
  if (fault != 0) all.sticky = static_cast<cudaError_t>(fault);
  if (!task.execution.poll) return finish(task);
  task.state = Task::polls;
  all.polling.push_back(task.shared_from_this());
}

// Whether one of the long operations has ended. All others are asked, too: they make progress by that.
bool poll_all(Lock& lock) {
  auto& all = queues();
  bool any = false;
  const std::vector<TaskPointer> now = all.polling;
  for (const TaskPointer& task : now) {
    if (task->state != Task::polls || task->polled_now) continue;
    task->polled_now = true;
    ++all.num_running;
    lock.unlock();
    bool ended = false;
    {
      const DeviceAccess access;
      ended = task->execution.poll();
      if (ended) check_guards(task->name);
    }
    lock.lock();
    --all.num_running;
    task->polled_now = false;
    if (!ended) continue;
    any = true;
    std::erase(all.polling, task);
    finish(*task);
  }
  return any;
}

// Which operations may run: those that the wait of this number needs, or one of these.
constexpr std::uint64_t kWilling = 0;  // what the policy runs unasked
constexpr std::uint64_t kAny = ~std::uint64_t{0};

// The one of them that runs next; null if none is ready.
Task* choose(std::uint64_t wanted) {
  Task* chosen = nullptr;
  const Policy policy = settings().policy;
  for (Task* task : queues().ready) {
    if (wanted == kWilling ? task->is_held_back : wanted != kAny && task->wanted != wanted) continue;
    if (policy == Policy::eager) return task;
    if (chosen == nullptr || policy == Policy::lifo || task->draw < chosen->draw) chosen = task;
  }
  return chosen;
}

bool step(Lock& lock, std::uint64_t wanted) {
  Task* task = choose(wanted);
  if (task == nullptr) return false;
  run_task(lock, *task);
  return true;
}

void want(Task& last, std::uint64_t wait) {
  std::vector<Task*> rest = {&last};
  last.wanted = wait;
  while (!rest.empty()) {
    const Task* task = rest.back();
    rest.pop_back();
    for (const TaskPointer& before : task->before) {
      if (before->state == Task::done || before->wanted == wait) continue;
      before->wanted = wait;
      rest.push_back(before.get());
    }
  }
}

[[noreturn]] void hang(const Task& task) {
  std::string text =
      "the host waits in vain for " + task.name + " (#" + std::to_string(task.number) + "); on their way:";
  int listed = 0;
  for (const TaskPointer& other : queues().pending) {
    if (other->state == Task::done || ++listed > 20) continue;
    text += "\n  #" + std::to_string(other->number) + " " + other->name + " on stream " +
            std::to_string(other->stream->id) + (other->state == Task::waits ? ", waits" : ", runs");
  }
  violation(text);
}

// One round of a wait: whether anything has moved.
bool move_on(Lock& lock, const Task& task, std::uint64_t wait) {
  const Policy policy = settings().policy;
  if (policy == Policy::threads) return false;
  const bool runs_unasked = policy == Policy::random && draw(task.number, wait, queues().num_pending) % 3 == 0;
  if (runs_unasked && step(lock, kWilling)) return true;
  if (policy == Policy::lifo) return poll_all(lock) || step(lock, wait);
  return step(lock, wait) || poll_all(lock);
}

// A device goes on while its host waits for another process. Started by the first operation that depends on others.
void run_in_background() {
  auto& all = queues();
  Lock lock(all.mutex);
  for (;;) {
    all.changed.wait_for(lock, kIdle);
    while (all.num_pending > 0 && Clock::now() - all.last_call > kIdle) {
      if (!poll_all(lock) && !step(lock, kAny)) all.changed.wait_for(lock, kPause * 4);
    }
  }
}

void run_stream(CUstream_st* stream) {
  auto& all = queues();
  Lock lock(all.mutex);
  for (;;) {
    Task* mine = nullptr;
    for (Task* task : all.ready) {
      if (task->stream == stream) mine = task;
      if (mine != nullptr) break;
    }
    if (mine != nullptr) {
      run_task(lock, *mine);
    } else if (!poll_all(lock)) {
      all.changed.wait_for(lock, all.polling.empty() ? kIdle : kPause);
    }
  }
}

}  // namespace

Queues& queues() {
  static auto* all = [] {
    reserve_memory();
    auto* made = new Queues;  // lives until the process has ended: threads of the device may still look at it
    for (int device = 0; device < settings().devices; ++device) {
      made->default_streams.push_back(std::make_unique<CUstream_st>());
      made->default_streams.back()->device = device;
      made->default_streams.back()->id = made->num_streams++;
    }
    return made;
  }();
  return *all;
}

Lock lock_for_call() {
  auto& all = queues();
  Lock lock(all.mutex);
  all.last_call = Clock::now();
  return lock;
}

void begin(const TaskPointer& task) {
  auto& all = queues();
  all.pending.push_back(task);
  ++all.num_pending;
  if (task->num_before == 0) make_ready(*task);
  const bool threads = settings().policy == Policy::threads;
  if (threads && !task->stream->has_thread) {
    task->stream->has_thread = true;
    std::thread(run_stream, task->stream).detach();
  }
  if (task->execution.poll && !all.has_background && !threads) {
    all.has_background = true;
    std::thread(run_in_background).detach();
  }
}

// What the policy runs at once.
void run_some(Lock& lock, const Task& last) {
  sweep();
  if (settings().policy == Policy::threads) {
    queues().changed.notify_all();
  } else if (settings().policy == Policy::eager) {
    while (step(lock, kWilling)) {
    }
  } else if (settings().policy == Policy::random) {
    for (std::uint64_t i = draw(last.draw, 1, 1) % 3; i > 0 && step(lock, kWilling); --i) {
    }
  }
}

void wait_until_done(Lock& lock, const TaskPointer& task) {
  if (task == nullptr || task->state == Task::done) return;
  auto& all = queues();
  const std::uint64_t wait = ++all.num_waits;
  auto last_move = Clock::now();
  std::size_t last_pending = all.num_pending;
  for (;;) {
    if (task->state == Task::done) return;
    want(*task, wait);
    while (task->state != Task::done && move_on(lock, *task, wait)) last_move = Clock::now();
    if (task->state == Task::done) return;
    if (all.num_pending != last_pending || (all.polling.empty() && all.num_running > 0)) last_move = Clock::now();
    last_pending = all.num_pending;
    if (std::chrono::duration<double>(Clock::now() - last_move).count() > settings().hang_seconds) hang(*task);
    all.changed.wait_for(lock, kPause);
    all.last_call = Clock::now();  // this host is not away
  }
}

void move_on_for_query(Lock& lock, const Task& task) {
  if (settings().policy == Policy::threads) return;
  poll_all(lock);
  if (draw(task.draw, queues().num_waits++, 3) % 2 != 0) step(lock, kAny);
}

}  // namespace dml::emulator
