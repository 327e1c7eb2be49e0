// Which tasks of a rank are over before another begins: by listed dependencies and by the order of its queues.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "parallel/task_graph.h"

namespace dml {

inline constexpr std::size_t kQueues = 5;  ///< as many as QueueId names

/// A vector clock over the queues of one rank: as tasks of a queue run in order, "every task of queue q up to index i
/// is over" says all that is known, and one number for each queue answers any question of order. O(1) per task,
/// dependency and question. Tasks are taken in the order of the list.
class HappensBefore {
 public:
  explicit HappensBefore(const RankTasks& rank);

  /// Takes the next task. `adds_gradient`: its result is added to a gradient behind it, in the compute queue.
  void take(bool adds_gradient);
  /// True if `earlier` is surely over when the task taken last begins.
  bool is_over(std::int32_t earlier) const;
  /// True if everything that the compute queue had taken up to `index` is.
  bool compute_is_over(std::int32_t index) const { return begin_[0] >= index; }

 private:
  using Clock = std::array<std::int32_t, kQueues>;  ///< by queue: the last index that is over
  static void join(Clock& clock, const Clock& other);

  const RankTasks& rank_;
  std::vector<Clock> ends_;          ///< by task
  std::array<Clock, kQueues> last_;  ///< by queue: the end of what it took last
  Clock begin_{};                    ///< the beginning of the task taken last
};

}  // namespace dml
