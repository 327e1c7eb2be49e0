#include "runtime/program/executor.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.h"
#include "runtime/comm/host_watch.h"

namespace dml {
namespace {

/// Communication is looked after between tasks, but not more often than this.
constexpr double kPollSeconds = 20e-6;

}  // namespace

Executor::Executor(const Program& program, const RankTasks& tasks, std::function<std::string(const Task&)> describe)
    : program_(program), tasks_(tasks), describe_(std::move(describe)) {
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
  for (const Instruction& instruction : program_.instructions()) {
    try {
      switch (instruction.kind) {
        case Instruction::Kind::launch: launch(instruction); break;
        case Instruction::Kind::post: post(instruction); break;
        case Instruction::Kind::wait: wait(instruction); break;
      }
    } catch (const Error&) {
      rethrow(instruction);
    }
  }
}

void Executor::launch(const Instruction& instruction) {
  const double begin = now();
  instruction.run();
  const double end = now();
  const auto task = static_cast<std::size_t>(instruction.task);
  if (spans_[task].start < 0) spans_[task].start = begin;
  spans_[task].end = end;
  tasks_wall_ += end - begin;
  switch (tasks_.tasks[task].id.phase) {
    case Phase::forward: forward_ += end - begin; break;
    case Phase::update: update_ += end - begin; break;
    default: backward_ += end - begin; break;
  }
  if (!open_.empty() && end >= next_poll_) poll();
}

void Executor::post(const Instruction& instruction) {
  spans_[static_cast<std::size_t>(instruction.task)].start = now();
  const Ticket ticket = instruction.post();
  open_.push_back({instruction.task, ticket, instruction.communicator});
  if (instruction.communicator->done(ticket)) complete(open_.size() - 1, now());
}

void Executor::poll() {
  open_.front().communicator->progress();  // moves all communicators of this rank
  const double at = now();
  for (std::size_t i = open_.size(); i-- > 0;) {
    if (open_[i].communicator->done(open_[i].ticket)) complete(i, at);
  }
  next_poll_ = at + kPollSeconds;
}

void Executor::complete(std::size_t open_index, double at) {
  const auto task = static_cast<std::size_t>(open_[open_index].task);
  spans_[task].end = at;
  done_[task] = true;
  open_[open_index] = open_.back();
  open_.pop_back();
}

void Executor::wait(const Instruction& instruction) {
  const auto task = static_cast<std::size_t>(instruction.task);
  if (done_[task]) return;
  const auto open = std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.task == instruction.task; });
  DML_ASSERT(open != open_.end(), describe_(tasks_.tasks[task]));
  const double processor = thread_processor_seconds();
  const double begin = now();
  open->communicator->wait(open->ticket);
  const double end = now();
  waits_processor_ += thread_processor_seconds() - processor;
  (tasks_.tasks[task].kind == TaskKind::receive ? parts_.bubble : parts_.exposed_comm) += end - begin;
  complete(static_cast<std::size_t>(open - open_.begin()), end);
}

void Executor::end_step() {
  parts_.step = now();
  burst_processor_ = thread_processor_seconds() - burst_processor_;
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
  } catch (const ModelError& error) {
    throw ModelError(fmt::format("{} ({})", error.what(), where));
  }
}

}  // namespace dml
