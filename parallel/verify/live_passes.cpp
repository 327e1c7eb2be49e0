#include "parallel/verify/live_passes.h"

#include <fmt/format.h>

#include "models/index.h"

namespace dml {

std::vector<Finding> verify_live_passes(const Partition& rank, const ScheduleDef& schedule) {
  if (schedule.most_alive == nullptr || rank.forward_only) return {};
  const std::size_t microbatches = rank.by_microbatch.size();
  const Pipeline pipeline{.placement = rank.placement, .microbatches = static_cast<int>(microbatches)};
  const int most = schedule.most_alive(pipeline, rank.at.p);
  enum class Pass { none, forward, backward };
  std::vector<Pass> passes(index(rank.placement.num_stages()) * microbatches, Pass::none);
  int alive = 0;
  for (std::size_t at = 0; at < rank.tasks.tasks.size(); ++at) {
    const Task& task = rank.tasks.tasks[at];
    if (task.node == kNone) continue;
    Pass& pass = passes[index(task.id.stage) * microbatches + index(task.id.microbatch)];
    const bool is_forward = task.id.phase == Phase::forward;
    if (is_forward && pass == Pass::none) {
      pass = Pass::forward;
      if (++alive > most)
        return {finding_at(rank.tasks, at,
                           fmt::format("is of pass {} that is kept, {} promises {}", alive, schedule.name, most))};
    } else if (!is_forward && pass == Pass::forward) {
      pass = Pass::backward;
      --alive;
    }
  }
  return {};
}

}  // namespace dml
