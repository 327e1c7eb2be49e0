#include "tests/device_emulator/engine/stream.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "tests/device_emulator/engine/faults.h"
#include "tests/device_emulator/engine/memory.h"
#include "tests/device_emulator/engine/settings.h"

namespace dml::emulator {
namespace {

using Lock = std::unique_lock<std::mutex>;
using Clock = std::chrono::steady_clock;
constexpr auto kPause = std::chrono::microseconds(50);
constexpr auto kIdle = std::chrono::milliseconds(20);  // a host that is away for so long waits for somebody else

struct Queues {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::unique_ptr<CUstream_st>> all_streams;  // also destroyed ones: their operations may still run
  std::unordered_set<CUstream_st*> streams;
  std::unordered_set<CUevent_st*> events;
  std::vector<std::unique_ptr<CUstream_st>> default_streams;
  std::vector<TaskPointer> pending;  // in the order of issue; done ones are swept out now and then
  std::vector<Task*> ready;          // wait for nothing
  std::vector<TaskPointer> polling;
  std::size_t num_pending = 0;
  int num_running = 0;
  std::uint64_t num_tasks = 0;
  std::uint64_t num_streams = 0;
  std::uint64_t num_waits = 0;
  Clock::time_point last_call = Clock::now();
  bool has_background = false;
  std::atomic<cudaError_t> sticky = cudaSuccess;
};

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

thread_local bool in_callback = false;

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

/// Which of the ready operations runs next: null if there is none. `wanted`: only those that this wait needs; 0: any.
Task* choose(std::uint64_t wanted) {
  Task* chosen = nullptr;
  const Policy policy = settings().policy;
  for (Task* task : queues().ready) {
    if (wanted != 0 && task->wanted != wanted) continue;
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
  if (policy == Policy::random && draw(task.number, wait, queues().num_pending) % 3 == 0 && step(lock, 0)) return true;
  if (policy == Policy::lifo) return poll_all(lock) || step(lock, wait);
  return step(lock, wait) || poll_all(lock);
}

void wait_locked(Lock& lock, const TaskPointer& task) {
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
  }
}

// A device goes on while its host waits for another process: only operations that wait for others need that here.
void run_in_background() {
  auto& all = queues();
  Lock lock(all.mutex);
  for (;;) {
    all.changed.wait_for(lock, kIdle);
    while (!all.polling.empty() && Clock::now() - all.last_call > kIdle) {
      if (!poll_all(lock) && !step(lock, 0)) all.changed.wait_for(lock, kPause * 4);
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

void add_before(Task& task, const TaskPointer& before) {
  if (before == nullptr || before->state == Task::done) return;
  task.before.push_back(before);
  before->after.push_back(&task);
  ++task.num_before;
}

// What CUDA says of the default stream: it waits for all blocking streams, and they for it.
void add_default_stream(Task& task, CUstream_st& stream) {
  auto& all = queues();
  CUstream_st& standard = *all.default_streams[static_cast<std::size_t>(stream.device)];
  if (&stream == &standard) {
    for (CUstream_st* other : all.streams) {
      if (other->is_blocking && other->device == stream.device) add_before(task, other->tail);
    }
  } else if (stream.is_blocking) {
    add_before(task, standard.tail);
  }
}

TaskPointer make_task(CUstream_st& stream, const Operation& operation) {
  auto& all = queues();
  auto task = std::make_shared<Task>();
  task->number = ++all.num_tasks;
  task->draw = draw(stream.id, stream.num_tasks++, 7);
  task->stream = &stream;
  task->name = operation.name;
  task->ranges = operation.ranges;
  if (operation.issue) task->execution = operation.issue();
  return task;
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
    while (step(lock, 0)) {
    }
  } else if (settings().policy == Policy::random) {
    for (std::uint64_t i = draw(last.draw, 1, 1) % 3; i > 0 && step(lock, 0); --i) {
    }
  }
}

Lock lock_for_call() {
  auto& all = queues();
  Lock lock(all.mutex);
  all.last_call = Clock::now();
  return lock;
}

}  // namespace

CUstream_st* create_stream(int device, bool is_blocking) {
  auto& all = queues();
  const Lock lock = lock_for_call();
  CUstream_st* stream = all.all_streams.emplace_back(std::make_unique<CUstream_st>()).get();
  stream->device = device;
  stream->is_blocking = is_blocking;
  stream->id = all.num_streams++;
  all.streams.insert(stream);
  return stream;
}

bool destroy_stream(cudaStream_t stream) {
  const Lock lock = lock_for_call();
  return queues().streams.erase(stream) != 0;
}

CUstream_st* find_stream(cudaStream_t stream) {
  auto& all = queues();
  const Lock lock = lock_for_call();
  if (stream == nullptr || stream == cudaStreamLegacy) {
    return all.default_streams[static_cast<std::size_t>(current_device())].get();
  }
  return all.streams.count(stream) != 0 ? stream : nullptr;
}

CUevent_st* create_event(bool has_time) {
  const Lock lock = lock_for_call();
  auto* event = new CUevent_st;
  event->has_time = has_time;
  queues().events.insert(event);
  return event;
}

bool destroy_event(cudaEvent_t event) {
  const Lock lock = lock_for_call();
  if (queues().events.erase(event) == 0) return false;
  delete event;
  return true;
}

bool is_event(cudaEvent_t event) {
  const Lock lock = lock_for_call();
  return queues().events.count(event) != 0;
}

std::string leaked_handles() {
  auto& all = queues();
  const Lock lock(all.mutex);
  std::string text;
  if (!all.streams.empty()) text = std::to_string(all.streams.size()) + " streams";
  if (!all.events.empty()) text += (text.empty() ? "" : ", ") + std::to_string(all.events.size()) + " events";
  return text;
}

TaskPointer issue(CUstream_st& stream, const Operation& operation, const std::vector<TaskPointer>& also) {
  Lock lock = lock_for_call();
  const TaskPointer task = make_task(stream, operation);
  add_before(*task, stream.tail);
  for (const TaskPointer& other : also) add_before(*task, other);
  add_default_stream(*task, stream);
  stream.tail = task;
  begin(task);
  run_some(lock, *task);
  return task;
}

void issue_all(CUstream_st& stream, const std::vector<Operation>& nodes,
               const std::vector<std::vector<std::size_t>>& before) {
  Lock lock = lock_for_call();
  std::vector<TaskPointer> tasks;
  const TaskPointer join = make_task(stream, {"cudaGraphLaunch", {}, {}});
  const TaskPointer tail = stream.tail;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    tasks.push_back(make_task(stream, nodes[i]));
    if (before[i].empty()) {
      add_before(*tasks[i], tail);
      add_default_stream(*tasks[i], stream);
    }
    for (const std::size_t j : before[i]) add_before(*tasks[i], tasks[j]);
    add_before(*join, tasks[i]);
  }
  if (nodes.empty()) add_before(*join, tail);
  join->number = ++queues().num_tasks;
  stream.tail = join;
  for (const TaskPointer& task : tasks) begin(task);
  begin(join);
  run_some(lock, *join);
}

void wait_for(const TaskPointer& task) {
  Lock lock = lock_for_call();
  wait_locked(lock, task);
  queues().last_call = Clock::now();
}

void wait_for_stream(CUstream_st& stream) {
  auto& all = queues();
  Lock lock = lock_for_call();
  std::vector<TaskPointer> tails = {stream.tail};
  if (&stream == all.default_streams[static_cast<std::size_t>(stream.device)].get()) {
    for (const CUstream_st* other : all.streams) {
      if (other->is_blocking && other->device == stream.device) tails.push_back(other->tail);
    }
  }
  for (const TaskPointer& tail : tails) wait_locked(lock, tail);
  all.last_call = Clock::now();
}

void wait_for_device(int device) {
  auto& all = queues();
  Lock lock = lock_for_call();
  const std::vector<TaskPointer> pending = all.pending;
  for (const TaskPointer& task : pending) {
    if (task->stream->device == device) wait_locked(lock, task);
  }
  all.last_call = Clock::now();
}

bool is_done(const TaskPointer& task) {
  Lock lock = lock_for_call();
  if (task == nullptr || task->state == Task::done) return true;
  if (settings().policy != Policy::threads) {
    poll_all(lock);
    if (draw(task->draw, queues().num_waits++, 3) % 2 != 0) step(lock, 0);
  }
  return task->state == Task::done;
}

bool is_stream_done(CUstream_st& stream) {
  TaskPointer tail;
  {
    const Lock lock = lock_for_call();
    tail = stream.tail;
  }
  return is_done(tail);
}

cudaError_t sticky_error() { return queues().sticky; }

Callback::Callback() { in_callback = true; }
Callback::~Callback() { in_callback = false; }
bool is_in_callback() { return in_callback; }

int device_of(cudaStream_t stream) {
  const CUstream_st* found = find_stream(stream);
  return found == nullptr ? -1 : found->device;
}

}  // namespace dml::emulator
