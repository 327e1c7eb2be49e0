#include "runtime/program/executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kernels/error.h"
#include "runtime/comm/host_watch.h"

namespace dml {
namespace {

/// Communication is looked after between tasks, but not more often than this.
constexpr double kPollSeconds = 20e-6;
/// The same where it proceeds by itself, and only its failures are looked for.
constexpr double kCheckSeconds = 5e-3;

/// What the host does while it lives, for a profiler; nothing without a name.
class HostRange {
 public:
  HostRange(Device& device, const char* name) : device_(name == nullptr ? nullptr : &device) {
    if (device_ != nullptr) device_->begin_range(name);
  }
  ~HostRange() {
    if (device_ != nullptr) device_->end_range();
  }
  HostRange(const HostRange&) = delete;
  HostRange& operator=(const HostRange&) = delete;

 private:
  Device* device_;
};

}  // namespace

Executor::Executor(Device& device, const Program& program, const RankTasks& tasks,
                   std::function<std::string(const Task&)> describe)
    : device_(device),
      program_(program),
      tasks_(tasks),
      describe_(std::move(describe)),
      works_at_once_(device.shares_host_memory()) {
  spans_.resize(tasks.tasks.size());
  done_.resize(tasks.tasks.size());
  for (Flight& flight : flights_) flight.open.reserve(tasks.tasks.size());
  intervals_.reserve(tasks.tasks.size());
  for (std::size_t i = 0; i < spans_.size(); ++i) {
    spans_[i].task = static_cast<std::int32_t>(i);
    spans_[i].rank = tasks.rank;
  }
  if (device.is_profiled()) {
    for (const Instruction& instruction : program.instructions()) {
      const std::string task = tasks.tasks[static_cast<std::size_t>(instruction.task)].id.to_string();
      range_names_.push_back(instruction.kind == Instruction::Kind::wait ? "wait for " + task : task);
    }
  }
  for (const Task& task : tasks.tasks) {
    if (task.queue == QueueId::compute) continue;
    const auto same = [&](const CommTime& time) { return time.kind == task.kind && time.axis == task.axis; };
    if (std::none_of(comm_times_.begin(), comm_times_.end(), same)) comm_times_.push_back({task.kind, task.axis});
  }
}

void Executor::begin_step() {
  if (num_begun_ == num_finished_) processor_ = thread_processor_seconds();
  ++num_begun_;
  current().start = Clock::now();
  current().is_replayed = false;
  open().clear();
  device_.begin_step(current().start, 2 * program_.instructions().size());
  next_poll_ = 0;
  std::fill(done_.begin(), done_.end(), false);
  if (works_at_once_) clear_times();
}

void Executor::clear_times() {
  parts_ = {};
  forward_ = backward_ = update_ = 0;
  tasks_wall_ = 0;
  waits_processor_ = 0;
  intervals_.clear();
  for (Span& span : spans_) span.start = span.end = -1;
  for (CommTime& time : comm_times_) {
    time.seconds = 0;
    time.count = 0;
    time.bytes = 0;
  }
}

template <typename Visit>
void Executor::for_each_instruction(const Visit& visit) {
  const std::span<const Instruction> instructions = program_.instructions();
  for (std::size_t i = 0; i < instructions.size(); ++i) {
    try {
      const HostRange range(device_, range_names_.empty() ? nullptr : range_names_[i].c_str());
      visit(instructions[i], i);
    } catch (const Error&) {
      rethrow(instructions[i]);
    }
  }
}

void Executor::run() {
  for_each_instruction([this](const Instruction& instruction, std::size_t i) {
    switch (instruction.kind) {
      case Instruction::Kind::launch: launch(instruction, i); break;
      case Instruction::Kind::post: post(instruction, i); break;
      case Instruction::Kind::wait: wait(instruction, i); break;
    }
  });
  if (works_at_once_) wait_for_all(open());
}

void Executor::replay(Recording& recording) {
  current().is_replayed = true;
  const HostRange range(device_, range_names_.empty() ? nullptr : "step");
  device_.mark(0);
  recording.replay();
  device_.mark(1);
}

void Executor::record_run() {
  const auto end = [this] {
    open().clear();
    for (const Instruction& instruction : program_.instructions()) {
      if (instruction.communicator != nullptr) instruction.communicator->recorded();
    }
  };
  try {
    record_instructions();
  } catch (...) {
    end();
    throw;
  }
  end();
}

void Executor::record_instructions() {
  open().clear();
  for_each_instruction([this](const Instruction& instruction, std::size_t) {
    switch (instruction.kind) {
      case Instruction::Kind::launch: instruction.run(); break;
      case Instruction::Kind::post: open().push_back({&instruction, instruction.post()}); break;
      case Instruction::Kind::wait: {
        const auto posted = find_open(instruction.task);
        instruction.communicator->join(posted->ticket);
        open().erase(posted);
        break;
      }
    }
  });
  // A recording ends when all that began in it has come back to the device's queue.
  for (const Open& posted : open()) posted.post->communicator->join(posted.ticket);
}

const void* Executor::finish_step() {
  Flight& flight = flights_[++num_finished_ % flights_.size()];
  if (!works_at_once_) wait_for_all(flight.open);
  const void* results = device_.finish_step();
  const Clock::time_point began = std::max(flight.start, ended_);
  ended_ = Clock::now();
  if (flight.is_replayed) {
    settle_replayed();
  } else {
    spans_began_ = began;
    settle();
  }
  settle_parts(std::chrono::duration<double>(ended_ - began).count());
  return results;
}

void Executor::launch(const Instruction& instruction, std::size_t index) {
  if (instruction.communicator != nullptr) instruction.communicator->mark_next(2 * (index + 1), 2 * (index + 1) + 1);
  device_.mark(2 * index);
  instruction.run();
  device_.mark(2 * index + 1);
  if (!open().empty() && now() >= next_poll_) poll();
}

void Executor::post(const Instruction& instruction, std::size_t index) {
  if (works_at_once_) spans_[static_cast<std::size_t>(instruction.task)].start = now();
  if (!instruction.is_begun) instruction.communicator->mark_next(2 * index, 2 * index + 1);
  const Ticket ticket = instruction.post();
  open().push_back({&instruction, ticket});
  if (instruction.communicator->done(ticket)) complete(open().size() - 1, now());
}

void Executor::poll() {
  open().front().post->communicator->progress();  // moves all communicators of this rank
  const double at = now();
  for (std::size_t i = open().size(); works_at_once_ && i-- > 0;) {
    if (open()[i].post->communicator->done(open()[i].ticket)) complete(i, at);
  }
  next_poll_ = at + (works_at_once_ ? kPollSeconds : kCheckSeconds);
}

void Executor::complete(std::size_t open_index, double at) {
  const auto task = static_cast<std::size_t>(open()[open_index].post->task);
  if (works_at_once_) spans_[task].end = at;
  done_[task] = true;
  open()[open_index] = open().back();
  open().pop_back();
}

std::vector<Executor::Open>::iterator Executor::find_open(std::int32_t task) {
  const auto found = std::find_if(open().begin(), open().end(), [&](const Open& o) { return o.post->task == task; });
  DML_ASSERT(found != open().end(), describe_(tasks_.tasks[static_cast<std::size_t>(task)]));
  return found;
}

void Executor::wait(const Instruction& instruction, std::size_t index) {
  if (done_[static_cast<std::size_t>(instruction.task)]) return;
  const auto posted = find_open(instruction.task);
  if (!works_at_once_) {
    device_.mark(2 * index);
    instruction.communicator->join(posted->ticket);
    device_.mark(2 * index + 1);
    return;
  }
  const double processor = thread_processor_seconds();
  device_.mark(2 * index);
  instruction.communicator->join(posted->ticket);
  device_.mark(2 * index + 1);
  waits_processor_ += thread_processor_seconds() - processor;
  complete(static_cast<std::size_t>(posted - open().begin()), now());
}

/// What a device waits for by itself the host waits for here, with a deadline for each.
void Executor::wait_for_all(std::vector<Open>& open) {
  const double processor = thread_processor_seconds();
  for (const Open& posted : open) {
    if (posted.post->communicator->done(posted.ticket)) continue;
    try {
      posted.post->communicator->wait(posted.ticket);
    } catch (const Error&) {
      rethrow(*posted.post);
    }
  }
  open.clear();
  waits_processor_ += thread_processor_seconds() - processor;
}

void Executor::settle() {
  if (!works_at_once_) clear_times();
  const std::span<const double> marks = device_.marks();
  const std::span<const Instruction> instructions = program_.instructions();
  for (std::size_t i = 0; i < instructions.size(); ++i) {
    const double begin = marks[2 * i];
    const double end = marks[2 * i + 1];
    if (begin < 0) continue;
    const auto id = static_cast<std::size_t>(instructions[i].task);
    const Task& task = tasks_.tasks[id];
    switch (instructions[i].kind) {
      case Instruction::Kind::launch: settle_launch(task, spans_[id], begin, end); break;
      case Instruction::Kind::post:
        spans_[id].start = begin;
        spans_[id].end = end;
        break;
      case Instruction::Kind::wait:
        (task.kind == TaskKind::receive ? parts_.bubble : parts_.exposed_comm) += end - begin;
        break;
    }
  }
  account_comm();
}

void Executor::settle_replayed() {
  parts_ = {};
  forward_ = backward_ = update_ = 0;
  const std::span<const double> marks = device_.marks();
  tasks_wall_ = marks[1] - marks[0];
}

void Executor::settle_launch(const Task& task, Span& span, double begin, double end) {
  if (span.start < 0) span.start = begin;
  span.end = end;
  tasks_wall_ += end - begin;
  switch (task.id.phase) {
    case Phase::forward: forward_ += end - begin; break;
    case Phase::update: update_ += end - begin; break;
    default: backward_ += end - begin; break;
  }
}

void Executor::settle_parts(double seconds) {
  parts_.step = seconds;
  const double processor = thread_processor_seconds();
  burst_processor_ = processor - std::exchange(processor_, processor);
  if (!works_at_once_) {
    // A device has its tasks' time to itself; what is neither task nor wait is the host's doing.
    parts_.compute = std::min(tasks_wall_, parts_.step);
    parts_.other = std::max(0.0, parts_.step - parts_.exposed_comm - parts_.bubble - parts_.compute);
    return;
  }
  // Outside its waits the thread was on the processor for `busy`; the rest it waited for a core. Tasks are short
  // against the scheduler's slices, so their time counts as compute as far as there is processor time for it.
  const double running = std::max(0.0, parts_.step - parts_.exposed_comm - parts_.bubble);
  const double busy = std::clamp(burst_processor_ - waits_processor_, 0.0, running);
  parts_.core_wait = running - busy;
  parts_.compute = std::min(busy, tasks_wall_);
  parts_.other = busy - parts_.compute;
}

void Executor::account_comm() {
  for (const Span& span : spans_) {
    const Task& task = tasks_.tasks[static_cast<std::size_t>(span.task)];
    if (task.queue == QueueId::compute) continue;
    for (CommTime& time : comm_times_) {
      if (time.kind != task.kind || time.axis != task.axis) continue;
      time.seconds += span.end - span.start;
      time.bytes += tasks_.work_of(task).bytes;
      ++time.count;
    }
    intervals_.emplace_back(span.start, span.end);
  }
  std::sort(intervals_.begin(), intervals_.end());
  double until = 0;
  for (const auto& [begin, end] : intervals_) {
    parts_.comm += std::max(0.0, end - std::max(begin, until));
    until = std::max(until, end);
  }
}

void Executor::rethrow(const Instruction& instruction) const {
  const std::string where = describe_(tasks_.tasks[static_cast<std::size_t>(instruction.task)]);
  try {
    throw;
  } catch (const LostHostError&) {
    throw;  // says it all, and who should
  } catch (const TimeoutError& error) {
    throw TimeoutError(fmt::format("{} ({})", error.what(), where));
  } catch (const CommError& error) {
    throw CommError(fmt::format("{} ({})", error.what(), where));
  } catch (const DeviceError& error) {
    throw DeviceError(fmt::format("{} ({})", error.what(), where));
  } catch (const ModelError& error) {
    throw ModelError(fmt::format("{} ({})", error.what(), where));
  }
}

}  // namespace dml
