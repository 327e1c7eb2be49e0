// Runs a Program: launches in order, communication beside it. It keeps the time of every task, and divides the step's
// time into what it was spent on. Where the device has memory of its own, a step can be on its way while the next one
// is put behind it.
#pragma once

#include <array>
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

  /// Begins a step and its clock; what happens before run counts as other. All steps but the last are finished.
  void begin_step();
  /// One pass through the program, done when it returns where the device works at once. Throws what kernels and
  /// communicators throw, with the task's description in front.
  void run();
  /// The same by what Device::record made of record_run. Its tasks have no times; all that the device does is compute.
  void replay(Recording& recording);
  /// Ends what belongs to the step that began last, which leaves `bytes` of results at `results`, in device memory.
  void end_step(const void* results, std::size_t bytes) { device_.end_step(results, bytes); }
  /// Returns when the earliest step that is not finished is done, and with it its clock: with its results, as
  /// Device::finish_step. Throws as run.
  const void* finish_step();

  /// Whether a step has begun that is not finished.
  bool is_in_step() const { return num_begun_ != num_finished_; }
  /// Whether the step that is finished next is one that was replayed: nobody knows of its operations then.
  bool next_is_replayed() const { return flights_[(num_finished_ + 1) % flights_.size()].is_replayed; }

  /// For Device::record, while no step is on its way: one pass through the program of which nothing is timed or looked
  /// after. Throws as run.
  void record_run();

  // Of the step that was finished last.
  const Breakdown& parts() const { return parts_; }
  double forward_seconds() const { return forward_; }
  double backward_seconds() const { return backward_; }
  double update_seconds() const { return update_; }
  /// On a processor, of this thread.
  double processor_seconds() const { return burst_processor_; }
  /// By task: seconds since the step began, of the last step whose tasks have times. Posted to completed for
  /// communication.
  std::span<const Span> spans() const { return spans_; }
  /// When the device could begin with that step.
  Clock::time_point spans_began() const { return spans_began_; }
  /// Seconds between post and completion, and number, by "kind axis" of communication.
  struct CommTime {
    TaskKind kind;
    Axis axis;
    double seconds = 0;
    std::int64_t count = 0;
    std::int64_t bytes = 0;
  };
  /// Of the last step whose tasks have times.
  std::span<const CommTime> comm_times() const { return comm_times_; }

 private:
  struct Open {
    const Instruction* post;
    Ticket ticket;
  };
  /// What is kept of a step until it is finished.
  struct Flight {
    Clock::time_point start;
    std::vector<Open> open;  ///< posted, and not known to be done
    bool is_replayed = false;
  };

  /// The step that began last.
  Flight& current() { return flights_[num_begun_ % flights_.size()]; }
  std::vector<Open>& open() { return current().open; }
  double now() { return std::chrono::duration<double>(Clock::now() - current().start).count(); }
  void clear_times();
  void record_instructions();
  /// Calls visit(instruction, index) for all; what it throws names the instruction's task.
  template <typename Visit>
  void for_each_instruction(const Visit& visit);
  // `index` is the instruction's; its marks are 2·index and 2·index + 1.
  void launch(const Instruction& instruction, std::size_t index);
  void post(const Instruction& instruction, std::size_t index);
  void wait(const Instruction& instruction, std::size_t index);
  void wait_for_all(std::vector<Open>& open);
  /// Where `task` stands in `open`.
  std::vector<Open>::iterator find_open(std::int32_t task);
  /// Reads the marks.
  void settle();
  void settle_replayed();
  void settle_launch(const Task& task, Span& span, double begin, double end);
  /// Notes which open operations have finished.
  void poll();
  void complete(std::size_t open_index, double at);
  /// Divides the seconds that the step took.
  void settle_parts(double seconds);
  void account_comm();
  [[noreturn]] void rethrow(const Instruction& instruction) const;

  Device& device_;
  const Program& program_;
  const RankTasks& tasks_;
  std::function<std::string(const Task&)> describe_;
  std::array<Flight, 2> flights_;  ///< in turn
  std::size_t num_begun_ = 0, num_finished_ = 0;
  Clock::time_point ended_;  ///< when a step was finished last
  std::vector<Span> spans_;
  Clock::time_point spans_began_;
  bool works_at_once_;      ///< what the device is told is done when the call returns
  std::vector<bool> done_;  ///< by task: its communication has finished in this step
  Breakdown parts_;
  double forward_ = 0, backward_ = 0, update_ = 0;
  double burst_processor_ = 0;  ///< processor time of this thread in the step
  double processor_ = 0;        ///< the same of the thread, when the step began that is finished next
  double tasks_wall_ = 0;
  double next_poll_ = 0;
  double waits_processor_ = 0;
  std::vector<std::string> range_names_;  ///< by instruction, for a profiler; empty: none is attached
  std::vector<CommTime> comm_times_;
  std::vector<std::pair<double, double>> intervals_;  ///< of communication, for their union
};

}  // namespace dml
