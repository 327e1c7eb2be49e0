// Runs a Program: launches in order, communication beside it. It keeps the time of every task, and divides the step's
// time into what it was spent on.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <vector>

#include "parallel/task_graph.h"
#include "parallel/timeline.h"
#include "runtime/comm/clock.h"
#include "runtime/program/program.h"
#include "runtime/records.h"

namespace dml {

class Executor {
 public:
  /// All outlive the executor. `describe` names a task for errors: its id, operation and shape.
  Executor(Device& device, const Program& program, const RankTasks& tasks,
           std::function<std::string(const Task&)> describe);

  /// Begins the step's clock; what happens before run counts as other.
  void begin_step();
  /// One pass through the program; returns when all of it is done. Throws what kernels and communicators throw, with
  /// the task's description in front.
  void run();
  /// Ends the step's clock.
  void end_step();

  /// Of the last step.
  Clock::time_point began() const { return start_; }
  const Breakdown& parts() const { return parts_; }
  double forward_seconds() const { return forward_; }
  double backward_seconds() const { return backward_; }
  double update_seconds() const { return update_; }
  /// On a processor, of this thread.
  double processor_seconds() const { return burst_processor_; }
  /// By task: seconds since the step began. Posted to completed for communication.
  std::span<const Span> spans() const { return spans_; }
  /// Seconds between post and completion, and number, by "kind axis" of communication.
  struct CommTime {
    TaskKind kind;
    Axis axis;
    double seconds = 0;
    std::int64_t count = 0;
    std::int64_t bytes = 0;
  };
  std::span<const CommTime> comm_times() const { return comm_times_; }

 private:
  double now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  // `index` is the instruction's; its marks are 2·index and 2·index + 1.
  void launch(const Instruction& instruction, std::size_t index);
  void post(const Instruction& instruction, std::size_t index);
  void wait(const Instruction& instruction, std::size_t index);
  void wait_for_all();
  /// Reads the marks.
  void settle();
  void settle_launch(const Task& task, Span& span, double begin, double end);
  /// Notes which open operations have finished.
  void poll();
  void complete(std::size_t open_index, double at);
  void account_comm();
  [[noreturn]] void rethrow(const Instruction& instruction) const;

  struct Open {
    const Instruction* post;
    Ticket ticket;
  };

  Device& device_;
  const Program& program_;
  const RankTasks& tasks_;
  std::function<std::string(const Task&)> describe_;
  Clock::time_point start_;
  std::vector<Span> spans_;
  std::vector<Open> open_;
  bool works_at_once_;      ///< what the device is told is done when the call returns
  std::vector<bool> done_;  ///< by task: its communication has finished in this step
  Breakdown parts_;
  double forward_ = 0, backward_ = 0, update_ = 0;
  double burst_processor_ = 0;  ///< processor time of this thread: at the step's begin, then of the step
  double tasks_wall_ = 0;
  double next_poll_ = 0;
  double waits_processor_ = 0;
  std::vector<CommTime> comm_times_;
  std::vector<std::pair<double, double>> intervals_;  ///< of communication, for their union
};

}  // namespace dml
