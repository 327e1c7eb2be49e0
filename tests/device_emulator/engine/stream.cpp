#include "tests/device_emulator/engine/stream.h"

#include <utility>

#include "tests/device_emulator/engine/scheduler.h"
#include "tests/device_emulator/engine/settings.h"

namespace dml::emulator {
namespace {

thread_local bool in_callback = false;

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
  // By turns of some operations, a stream keeps up with its host or falls behind.
  task->is_held_back = settings().policy == Policy::random && draw(stream.id, stream.num_tasks / 4, 5) % 2 != 0;
  task->draw = draw(stream.id, stream.num_tasks++, 7);
  task->stream = &stream;
  task->name = operation.name;
  task->ranges = operation.ranges;
  if (operation.issue && !settings().does_nothing) task->execution = operation.issue();
  return task;
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
  wait_until_done(lock, task);
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
  for (const TaskPointer& tail : tails) wait_until_done(lock, tail);
}

void wait_for_device(int device) {
  auto& all = queues();
  Lock lock = lock_for_call();
  const std::vector<TaskPointer> pending = all.pending;
  for (const TaskPointer& task : pending) {
    if (task->stream->device == device) wait_until_done(lock, task);
  }
}

bool is_done(const TaskPointer& task) {
  Lock lock = lock_for_call();
  if (task != nullptr && task->state != Task::done) move_on_for_query(lock, *task);
  return task == nullptr || task->state == Task::done;
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
