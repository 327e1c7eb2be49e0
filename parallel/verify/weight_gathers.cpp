#include "parallel/verify/weight_gathers.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/index.h"

namespace dml {

WeightGathers::WeightGathers(const Partition& partition, std::vector<Finding>& findings)
    : p_(partition),
      findings_(findings),
      for_passes_(partition.mesh.d() > 1 && partition.techniques.shares_parameters()),
      behind_update_(partition.mesh.d() > 1 && partition.techniques.shares_states() && !for_passes_ &&
                     !partition.forward_only && !partition.layout.segments.empty()) {}

void WeightGathers::take(std::size_t at, const HappensBefore& before, std::int32_t update) {
  const Task& t = task(at);
  if (t.queue != QueueId::data_comm) report(at, "is in another queue");
  if (for_passes_) {
    const bool is_pass = t.id.phase == Phase::forward || t.id.phase == Phase::input_grad;
    if (!is_pass || p_.placement.position(t.id.stage) != p_.at.p)
      report(at, "gathers weights for no pass of this rank");
    check_range(at, t.id.stage);
    const auto at_index = static_cast<std::int32_t>(at);
    if (!of_pass_.try_emplace({t.id.phase, t.id.microbatch, t.id.stage}, at_index).second)
      report(at, "gathers again what is gathered");
    return;
  }
  if (!behind_update_ || t.id.phase != Phase::update) report(at, "gathers weights that are whole");
  if (is_gathered_) report(at, "gathers again what is gathered");
  if (update < 0 || !before.is_over(update)) report(at, "gathers weights before they are surely updated");
  check_range(at, kNone);
  is_gathered_ = true;
}

void WeightGathers::check_range(std::size_t at, int stage) {
  const OperationNumbers numbers{p_.split().graph.num_nodes(), p_.split().graph.num_values()};
  const Task& t = task(at);
  std::int64_t count = 0;
  std::int32_t operation = kNone;
  for (const Segment& segment : p_.layout.segments) {
    const bool is_read = stage == kNone || std::ranges::find(segment.tied_stages, stage) != segment.tied_stages.end();
    if (!is_read) continue;
    if (count == 0) operation = numbers.weights(segment.value);
    count += segment.count;
  }
  const auto bytes = count * static_cast<std::int64_t>(size_of(p_.techniques.dtype));
  const Work& work = p_.tasks.work_of(t);
  if (work.begin != 0 || work.count != count || work.bytes != bytes || t.id.operation != operation)
    report(at,
           fmt::format("gathers {} elements of {} bytes in place of {} of {}", work.count, work.bytes, count, bytes));
}

void WeightGathers::read(std::size_t at, ValueId parameter, const HappensBefore& before) {
  if (!for_passes_ || p_.layout.find(parameter) < 0) return;
  const TaskId& id = task(at).id;
  const Phase pass = id.phase == Phase::forward ? Phase::forward : Phase::input_grad;
  const auto found = of_pass_.find({pass, id.microbatch, id.stage});
  if (found != of_pass_.end() && before.is_over(found->second)) return;
  report(at, fmt::format("reads {} before its parts are {}gathered", p_.split().graph.value(parameter).name,
                         found == of_pass_.end() ? "" : "surely "));
}

void WeightGathers::finish() {
  if (behind_update_ && !is_gathered_)
    findings_.push_back({"what the replicas update is never gathered", p_.rank, -1, ""});
}

}  // namespace dml
