#include "runtime/program/executor.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.h"
#include "runtime/comm/host_watch.h"

namespace dml {
namespace {

/// Communication is looked after between tasks, but not more often than this.
constexpr double kPollSeconds = 20e-6;
/// The same where it proceeds by itself, and only its failures are looked for.
constexpr double kCheckSeconds = 5e-3;

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
  open_.reserve(tasks.tasks.size());
  intervals_.reserve(tasks.tasks.size());
  for (std::size_t i = 0; i < spans_.size(); ++i) {
    spans_[i].task = static_cast<std::int32_t>(i);
    spans_[i].rank = tasks.rank;
  }
  for (const Task& task : tasks.tasks) {
    if (task.queue == QueueId::compute) continue;
    const auto same = [&](const CommTime& time) { return time.kind == task.kind && time.axis == task.axis; };
    if (std::none_of(comm_times_.begin(), comm_times_.end(), same)) comm_times_.push_back({task.kind, task.axis});
  }
}

void Executor::begin_step() {
  start_ = Clock::now();
  device_.begin_marks(start_, 2 * program_.instructions().size());
  next_poll_ = 0;
  burst_processor_ = thread_processor_seconds();
  parts_ = {};
  forward_ = backward_ = update_ = 0;
  tasks_wall_ = 0;
  waits_processor_ = 0;
  intervals_.clear();
  open_.clear();
  std::fill(done_.begin(), done_.end(), false);
  for (Span& span : spans_) span.start = span.end = -1;
  for (CommTime& time : comm_times_) {
    time.seconds = 0;
    time.count = 0;
    time.bytes = 0;
  }
}

void Executor::run() {
  const std::span<const Instruction> instructions = program_.instructions();
  for (std::size_t i = 0; i < instructions.size(); ++i) {
    const Instruction& instruction = instructions[i];
    try {
      switch (instruction.kind) {
        case Instruction::Kind::launch: launch(instruction, i); break;
        case Instruction::Kind::post: post(instruction, i); break;
        case Instruction::Kind::wait: wait(instruction, i); break;
      }
    } catch (const Error&) {
      rethrow(instruction);
    }
  }
  wait_for_all();
  device_.synchronize();
  settle();
}

void Executor::launch(const Instruction& instruction, std::size_t index) {
  device_.mark(2 * index);
  instruction.run();
  device_.mark(2 * index + 1);
  if (!open_.empty() && now() >= next_poll_) poll();
}

void Executor::post(const Instruction& instruction, std::size_t index) {
  spans_[static_cast<std::size_t>(instruction.task)].start = now();
  instruction.communicator->mark_next(2 * index, 2 * index + 1);
  const Ticket ticket = instruction.post();
  open_.push_back({&instruction, ticket});
  if (instruction.communicator->done(ticket)) complete(open_.size() - 1, now());
}

void Executor::poll() {
  open_.front().post->communicator->progress();  // moves all communicators of this rank
  const double at = now();
  for (std::size_t i = open_.size(); works_at_once_ && i-- > 0;) {
    if (open_[i].post->communicator->done(open_[i].ticket)) complete(i, at);
  }
  next_poll_ = at + (works_at_once_ ? kPollSeconds : kCheckSeconds);
}

void Executor::complete(std::size_t open_index, double at) {
  const auto task = static_cast<std::size_t>(open_[open_index].post->task);
  spans_[task].end = at;
  done_[task] = true;
  open_[open_index] = open_.back();
  open_.pop_back();
}

void Executor::wait(const Instruction& instruction, std::size_t index) {
  const auto task = static_cast<std::size_t>(instruction.task);
  if (done_[task]) return;
  const auto open =
      std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.post->task == instruction.task; });
  DML_ASSERT(open != open_.end(), describe_(tasks_.tasks[task]));
  const double processor = thread_processor_seconds();
  device_.mark(2 * index);
  instruction.communicator->join(open->ticket);
  device_.mark(2 * index + 1);
  waits_processor_ += thread_processor_seconds() - processor;
  if (works_at_once_) complete(static_cast<std::size_t>(open - open_.begin()), now());
}

/// What a device waits for by itself the host waits for here, with a deadline for each.
void Executor::wait_for_all() {
  const double processor = thread_processor_seconds();
  for (const Open& open : open_) {
    try {
      open.post->communicator->wait(open.ticket);
    } catch (const Error&) {
      rethrow(*open.post);
    }
  }
  open_.clear();
  waits_processor_ += thread_processor_seconds() - processor;
}

void Executor::settle() {
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

void Executor::end_step() {
  parts_.step = now();
  burst_processor_ = thread_processor_seconds() - burst_processor_;
  if (!works_at_once_) {
    // A device has its tasks' time to itself; what is neither task nor wait is the host's doing.
    parts_.compute = std::min(tasks_wall_, parts_.step);
    parts_.other = std::max(0.0, parts_.step - parts_.exposed_comm - parts_.bubble - parts_.compute);
    account_comm();
    return;
  }
  // Outside its waits the thread was on the processor for `busy`; the rest it waited for a core. Tasks are short
  // against the scheduler's slices, so their time counts as compute as far as there is processor time for it.
  const double running = std::max(0.0, parts_.step - parts_.exposed_comm - parts_.bubble);
  const double busy = std::clamp(burst_processor_ - waits_processor_, 0.0, running);
  parts_.core_wait = running - busy;
  parts_.compute = std::min(busy, tasks_wall_);
  parts_.other = busy - parts_.compute;
  account_comm();
}

void Executor::account_comm() {
  for (const Span& span : spans_) {
    const Task& task = tasks_.tasks[static_cast<std::size_t>(span.task)];
    if (task.queue == QueueId::compute) continue;
    for (CommTime& time : comm_times_) {
      if (time.kind != task.kind || time.axis != task.axis) continue;
      time.seconds += span.end - span.start;
      time.bytes += task.bytes;
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
