#include "parallel/verify/gradient_sums.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "models/index.h"

namespace dml {

GradientSums::GradientSums(const Partition& partition, bool clips, std::vector<Finding>& findings)
    : p_(partition),
      clips_(clips),
      findings_(findings),
      segment_of_(partition.split().graph.values().size(), -1),
      gradients_(partition.layout.segments.size()),
      sums_(partition.layout.buckets.size()) {
  const std::size_t microbatches = p_.by_microbatch.size();
  for (Gradient& gradient : gradients_) {
    gradient.added.resize(microbatches, 0);
    gradient.last.resize(microbatches, -1);
  }
  read_layout();
  check_readers();
  for (const auto& [parameter, gradient] : p_.split().graph.gradient_of) check_addends(parameter, gradient);
}

void GradientSums::report_value(ValueId value, std::string what) {
  findings_.push_back({std::move(what), p_.rank, -1, p_.split().graph.value(value).name});
}

/// Segments lie behind each other, as large as their parameters, and buckets divide them.
void GradientSums::read_layout() {
  std::int64_t end = 0;
  for (std::size_t i = 0; i < gradients_.size(); ++i) {
    const Segment& segment = p_.layout.segments[i];
    const std::int64_t wanted = p_.split().graph.shape(segment.value).num_elements();
    if (segment.begin < end || segment.count != wanted || segment.begin + segment.count > p_.layout.size)
      report_value(segment.value,
                   fmt::format("has elements {} to {} of the flat buffer, it needs {} of {} to {}", segment.begin,
                               segment.begin + segment.count, wanted, end, p_.layout.size));
    const ShardSpec& spec = p_.split().shards[index(segment.value)];
    const bool named = segment.spec.name == spec.name && segment.spec.global_shape == spec.global_shape &&
                       segment.spec.sharding == spec.sharding;
    if (!named) report_value(segment.value, fmt::format("is loaded as {}", segment.spec.name));
    end = segment.begin + segment.count;
    if (segment.summed_last != p_.split().is_summed_last(segment.value))
      report_value(segment.value, "is filed as summed at another time than its gradient can be");
    if (segment_of_[index(segment.value)] >= 0) report_value(segment.value, "stands twice in the flat buffer");
    segment_of_[index(segment.value)] = static_cast<int>(i);
  }
  for (std::size_t b = 0; b < sums_.size(); ++b) read_bucket(static_cast<int>(b));
  for (std::size_t i = 0; i < gradients_.size(); ++i) {
    if (gradients_[i].bucket < 0) report_value(p_.layout.segments[i].value, "is in no bucket");
  }
}

void GradientSums::read_bucket(int bucket) {
  const Bucket& b = p_.layout.buckets[index(bucket)];
  sums_[index(bucket)].shared = b.summed_last || std::ranges::any_of(b.tied_stages, [&](int stage) {
                                  return p_.placement.position(stage) != p_.at.p;
                                });
  const bool each = has_replicas() && p_.techniques.shares_gradients() && !b.is_shared();
  sums_[index(bucket)].replicas.resize(each ? p_.by_microbatch.size() : 1, -1);
  for (int s = b.first_segment; s < b.first_segment + b.num_segments; ++s) {
    const Segment& segment = p_.layout.segments.at(index(s));
    const bool fits = gradients_[index(s)].bucket < 0 && segment.tied_stages == b.tied_stages &&
                      segment.summed_last == b.summed_last && segment.begin >= b.begin &&
                      segment.begin + segment.count <= b.begin + b.count;
    if (!fits) report_value(segment.value, fmt::format("is not, or not alone, in bucket {}", bucket));
    gradients_[index(s)].bucket = bucket;
  }
}

/// Every parameter that a stage of this rank reads has a segment, which names the stages that read it.
void GradientSums::check_readers() {
  const Graph& graph = p_.split().graph;
  std::vector<std::set<int>> readers(gradients_.size());
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    const int stage = p_.stages[index(id)];
    for (const ValueId input : graph.node(id).inputs) {
      if (input == kNone || graph.value(input).role != Role::parameter || !graph.gradient_of.contains(input)) continue;
      const int segment = segment_of_[index(input)];
      if (segment >= 0) readers[index(segment)].insert(stage);
      if (segment < 0 && p_.placement.position(stage) == p_.at.p)
        report_value(input, fmt::format("is read in stage {} and has no place in the flat buffer", stage));
    }
  }
  for (std::size_t i = 0; i < gradients_.size(); ++i) {
    const Segment& segment = p_.layout.segments[i];
    if (!std::ranges::equal(segment.tied_stages, readers[i]))
      report_value(segment.value, "is filed under other stages than those that read it");
  }
}

/// The addends make up the gradient: its Add nodes lead to each of them once, and to nothing else.
void GradientSums::check_addends(ValueId parameter, ValueId gradient) {
  const SplitGraph& split = p_.split();
  const std::vector<ValueId>& addends = p_.map->addends(parameter);
  std::vector<ValueId> reached;
  std::vector<ValueId> todo{gradient};
  while (!todo.empty()) {
    const ValueId id = todo.back();
    todo.pop_back();
    const NodeId producer = split.graph.value(id).producer;
    if (p_.map->addend_of(id) == parameter) {
      reached.push_back(id);
    } else if (producer != kNone && split.graph.node(producer).op->name == "Add") {
      for (const ValueId input : split.graph.node(producer).inputs) todo.push_back(input);
    } else {
      report_value(parameter, fmt::format("{} is left out of the gradient", split.graph.value(id).name));
    }
  }
  std::sort(reached.begin(), reached.end());
  if (!std::is_permutation(reached.begin(), reached.end(), addends.begin(), addends.end()))
    report_value(parameter, "the gradient is summed from other values than its addends");
  const int segment = segment_of_[index(parameter)];
  for (const ValueId addend : addends) {
    const Sharding& wanted =
        split.is_summed_last(parameter) ? Sharding::partial() : split.shards[index(parameter)].sharding;
    const bool alike =
        split.shards[index(addend)].sharding == wanted && split.graph.shape(addend) == split.graph.shape(parameter);
    if (!alike) report_value(addend, "is not divided as the parameter whose gradient it is added to");
    const bool is_mine = p_.placement.position(p_.stages[index(split.graph.value(addend).producer)]) == p_.at.p;
    if (is_mine && segment >= 0 && !p_.forward_only) ++gradients_[index(segment)].expected;
  }
}

void GradientSums::add(std::size_t at, ValueId addend) {
  const ValueId parameter = p_.map->addend_of(addend);
  const int segment = segment_of_[index(parameter)];
  if (segment < 0) {
    report(at, fmt::format("adds to the gradient of {}, which this rank does not hold",
                           p_.split().graph.value(parameter).name));
    return;
  }
  Gradient& gradient = gradients_[index(segment)];
  const int microbatch = task(at).id.microbatch;
  ++gradient.added[index(microbatch)];
  gradient.last[index(microbatch)] = static_cast<std::int32_t>(at);
  const auto is_summed = [&](const Sums& sums) {
    return sums.positions >= 0 || sums.replicas[sums.round(microbatch)] >= 0;
  };
  const bool late = gradient.bucket >= 0 && is_summed(sums_[index(gradient.bucket)]);
  if (late || totals_ >= 0)
    report(at, fmt::format("adds to the gradient of {} after that was summed", p_.split().graph.value(parameter).name));
}

void GradientSums::take(std::size_t at, const HappensBefore& before) {
  const OperationNumbers numbers{p_.split().graph.num_nodes(), p_.split().graph.num_values()};
  const Task& t = task(at);
  const bool is_sum = is_collective(t.kind);
  if (update_ >= 0) report(at, "stands behind the update");
  if (t.id.phase != Phase::update || t.queue != (is_sum ? QueueId::data_comm : QueueId::compute))
    report(at, "is in another phase or queue");
  if (is_sum && t.axis != Axis::world) {
    sum(at, before);
  } else if (t.kind == TaskKind::all_reduce && t.id.operation == numbers.totals_sum()) {
    if (totals_sum_ >= 0) report(at, "sums the totals again");
    if (totals_ < 0 || !before.is_over(totals_)) report(at, "sums the totals before they are made");
    totals_sum_ = static_cast<std::int32_t>(at);
  } else if (t.kind == TaskKind::compute && t.id.operation == numbers.totals()) {
    if (totals_ >= 0) report(at, "makes the totals again");
    if (!p_.forward_only) expect_whole(at, before);
    totals_ = static_cast<std::int32_t>(at);
  } else if (t.kind == TaskKind::update && t.id.operation == numbers.update()) {
    end_step(at, before);
  } else {
    report(at, fmt::format("is {} of nothing that a rank has to do", name_of(t.kind)));
  }
}

void GradientSums::sum(std::size_t at, const HappensBefore& before) {
  const Task& t = task(at);
  const Work& work = p_.tasks.work_of(t);
  const auto found = std::ranges::find_if(
      p_.layout.buckets, [&](const Bucket& b) { return b.begin == work.begin && b.count == work.count; });
  const bool over_replicas = t.axis == Axis::data;
  const bool is_known = found != p_.layout.buckets.end() && !p_.forward_only &&
                        (over_replicas || t.axis == (found->summed_last ? Axis::tensor : Axis::pipeline));
  if (!is_known) {
    report(at, fmt::format("sums elements {} to {}, which are no bucket", work.begin, work.begin + work.count));
    return;
  }
  const auto b = static_cast<int>(found - p_.layout.buckets.begin());
  check_sum(at, b);
  Sums& sums = sums_[index(b)];
  const std::size_t round = sums.round(t.id.microbatch);
  std::int32_t& done = over_replicas ? sums.replicas[round] : sums.positions;
  if (done >= 0 || (!over_replicas && sums.replicas[0] >= 0)) report(at, "sums again what is summed");
  const bool ready =
      over_replicas && sums.shared ? sums.positions >= 0 && before.is_over(sums.positions) : is_added(b, round, before);
  if (!ready) report(at, "sums gradients before all their addends are in");
  done = static_cast<std::int32_t>(at);
}

void GradientSums::check_sum(std::size_t at, int bucket) {
  const OperationNumbers numbers{p_.split().graph.num_nodes(), p_.split().graph.num_values()};
  const Task& t = task(at);
  const Sums& sums = sums_[index(bucket)];
  const bool over_replicas = t.axis == Axis::data;
  const bool scatters = over_replicas && p_.techniques.shares_states();
  const TaskKind kind = scatters ? TaskKind::reduce_scatter : TaskKind::all_reduce;
  if (t.kind != kind) report(at, fmt::format("is {} in place of {}", name_of(t.kind), name_of(kind)));
  const Bucket& b = p_.layout.buckets[index(bucket)];
  const std::int32_t number =
      over_replicas ? numbers.bucket_sum(bucket) : numbers.shared_sum(p_.layout.segments[index(b.first_segment)].value);
  const Work& work = p_.tasks.work_of(t);
  const bool is_this =
      t.id.operation == number && work.bytes == work.count * 4 && (sums.replicas.size() > 1 || t.id.microbatch == 0);
  if (!is_this) report(at, "has the id or the bytes of another sum");
  if (over_replicas ? !has_replicas() : !sums.shared) report(at, "sums what nobody else has a part in");
}

bool GradientSums::is_added(int bucket, std::size_t round, const HappensBefore& before) const {
  const Bucket& b = p_.layout.buckets[index(bucket)];
  const std::size_t microbatches = p_.by_microbatch.size();
  const bool each = sums_[index(bucket)].replicas.size() > 1;
  for (int s = b.first_segment; s < b.first_segment + b.num_segments; ++s) {
    const Gradient& gradient = gradients_[index(s)];
    for (std::size_t m = each ? round : 0; m < (each ? round + 1 : microbatches); ++m) {
      if (gradient.added[m] != gradient.expected || !before.compute_is_over(gradient.last[m])) return false;
    }
  }
  return true;
}

bool GradientSums::is_whole(int bucket, const HappensBefore& before) const {
  const Sums& sums = sums_[index(bucket)];
  const auto is_over = [&](std::int32_t sum) { return sum >= 0 && before.is_over(sum); };
  if (has_replicas()) return std::ranges::all_of(sums.replicas, is_over);
  return sums.shared ? is_over(sums.positions) : is_added(bucket, 0, before);
}

void GradientSums::expect_whole(std::size_t at, const HappensBefore& before) {
  for (std::size_t b = 0; b < sums_.size(); ++b) {
    if (is_whole(static_cast<int>(b), before)) continue;
    const Bucket& bucket = p_.layout.buckets[b];
    report(at, fmt::format("reads gradients {} to {} before they are surely summed over all addends{}{}", bucket.begin,
                           bucket.begin + bucket.count,
                           bucket.summed_last ? ", tensor ranks"
                           : sums_[b].shared  ? ", positions"
                                              : "",
                           has_replicas() ? ", replicas" : ""));
  }
}

void GradientSums::end_step(std::size_t at, const HappensBefore& before) {
  const Task& t = task(at);
  if (p_.forward_only) report(at, "updates in a forward pass");
  if (update_ >= 0) report(at, "updates again");
  const bool shares = p_.techniques.shares_states();
  const std::int64_t begin = shares ? part_begin(p_.layout.size, p_.mesh.d(), p_.at.d) : 0;
  const std::int64_t count = shares ? part_size(p_.layout.size, p_.mesh.d(), p_.at.d) : p_.layout.size;
  const Work& work = p_.tasks.work_of(t);
  if (work.begin != begin || work.count != count)
    report(at, fmt::format("updates elements {} to {} in place of {} to {}", work.begin, work.begin + work.count, begin,
                           begin + count));
  expect_whole(at, before);
  if (totals_ < 0 || !before.is_over(totals_)) report(at, "updates before the totals are made");
  if (clips_ && (totals_sum_ < 0 || !before.is_over(totals_sum_)))
    report(at, "clips before the norm is summed over all ranks");
  update_ = static_cast<std::int32_t>(at);
}

void GradientSums::finish() {
  for (std::size_t i = 0; i < gradients_.size(); ++i) {
    const Gradient& gradient = gradients_[i];
    for (std::size_t m = 0; m < gradient.added.size(); ++m) {
      if (gradient.added[m] == gradient.expected) continue;
      report_value(p_.layout.segments[i].value,
                   fmt::format("the gradient has {} addends of microbatch {} in place of {}", gradient.added[m], m,
                               gradient.expected));
    }
  }
  const auto miss = [&](const char* what) { findings_.push_back({what, p_.rank, -1, ""}); };
  if (totals_ < 0) miss("the totals of the step are never made");
  if (totals_sum_ < 0) miss("the totals of the step are never summed over all ranks");
  if (update_ < 0 && !p_.forward_only) miss("there is no update");
  const bool is_gathered = has_replicas() && p_.techniques.shares_states() && !p_.techniques.shares_parameters();
  if (update_ >= 0 && index(update_) + (is_gathered ? 2 : 1) != p_.tasks.tasks.size())
    report(index(update_), "is not the last task but for the gathering of what it makes");
}

}  // namespace dml
