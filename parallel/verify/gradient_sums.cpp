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
  sums_[index(bucket)].shared =
      std::ranges::any_of(b.tied_stages, [&](int stage) { return p_.placement.position(stage) != p_.at.p; });
  for (int s = b.first_segment; s < b.first_segment + b.num_segments; ++s) {
    const Segment& segment = p_.layout.segments.at(index(s));
    const bool fits = gradients_[index(s)].bucket < 0 && segment.tied_stages == b.tied_stages &&
                      segment.begin >= b.begin && segment.begin + segment.count <= b.begin + b.count;
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
    const bool alike = split.shards[index(addend)].sharding == split.shards[index(parameter)].sharding &&
                       split.graph.shape(addend) == split.graph.shape(parameter);
    if (!alike) report_value(addend, "is not divided as the parameter whose gradient it is added to");
    const bool is_mine = p_.placement.position(p_.stages[index(split.graph.value(addend).producer)]) == p_.at.p;
    if (is_mine && segment >= 0 && !p_.forward_only) gradients_[index(segment)].expected += p_.by_microbatch.size();
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
  ++gradient.added;
  gradient.last = static_cast<std::int32_t>(at);
  const bool late = gradient.bucket >= 0 &&
                    (sums_[index(gradient.bucket)].positions >= 0 || sums_[index(gradient.bucket)].replicas >= 0);
  if (late || totals_ >= 0)
    report(at, fmt::format("adds to the gradient of {} after that was summed", p_.split().graph.value(parameter).name));
}

void GradientSums::take(std::size_t at, const HappensBefore& before) {
  const OperationNumbers numbers{p_.split().graph.num_nodes(), p_.split().graph.num_values()};
  const Task& t = task(at);
  const bool is_sum = t.kind == TaskKind::all_reduce;
  if (update_ >= 0) report(at, "stands behind the update");
  if (t.id.phase != Phase::update || t.queue != (is_sum ? QueueId::data_comm : QueueId::compute))
    report(at, "is in another phase or queue");
  if (is_sum && t.axis != Axis::world) {
    sum(at, before);
  } else if (is_sum && t.id.operation == numbers.totals_sum()) {
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
  const OperationNumbers numbers{p_.split().graph.num_nodes(), p_.split().graph.num_values()};
  const Task& t = task(at);
  const auto found = std::ranges::find_if(p_.layout.buckets,
                                          [&](const Bucket& b) { return b.begin == t.begin && b.count == t.count; });
  const bool over_replicas = t.axis == Axis::data;
  if (found == p_.layout.buckets.end() || (!over_replicas && t.axis != Axis::pipeline) || p_.forward_only) {
    report(at, fmt::format("sums elements {} to {}, which are no bucket", t.begin, t.begin + t.count));
    return;
  }
  const auto b = static_cast<int>(found - p_.layout.buckets.begin());
  Sums& sums = sums_[index(b)];
  if (t.id.operation != (over_replicas ? numbers.bucket_sum(b) : numbers.tied_sum(b)) || t.bytes != t.count * 4)
    report(at, "has the id or the bytes of another sum");
  if (over_replicas ? p_.mesh.d() == 1 : !sums.shared) report(at, "sums what nobody else has a part in");
  std::int32_t& done = over_replicas ? sums.replicas : sums.positions;
  if (done >= 0 || (!over_replicas && sums.replicas >= 0)) report(at, "sums again what is summed");
  const bool ready =
      over_replicas && sums.shared ? sums.positions >= 0 && before.is_over(sums.positions) : is_added(*found, before);
  if (!ready) report(at, "sums gradients before all their addends are in");
  done = static_cast<std::int32_t>(at);
}

bool GradientSums::is_added(const Bucket& bucket, const HappensBefore& before) const {
  const auto first = gradients_.begin() + bucket.first_segment;
  return std::all_of(first, first + bucket.num_segments, [&](const Gradient& gradient) {
    return gradient.added == gradient.expected && before.compute_is_over(gradient.last);
  });
}

bool GradientSums::is_whole(int bucket, const HappensBefore& before) const {
  const Sums& sums = sums_[index(bucket)];
  if (p_.mesh.d() > 1) return sums.replicas >= 0 && before.is_over(sums.replicas);
  if (sums.shared) return sums.positions >= 0 && before.is_over(sums.positions);
  return is_added(p_.layout.buckets[index(bucket)], before);
}

void GradientSums::expect_whole(std::size_t at, const HappensBefore& before) {
  for (std::size_t b = 0; b < sums_.size(); ++b) {
    if (is_whole(static_cast<int>(b), before)) continue;
    const Bucket& bucket = p_.layout.buckets[b];
    report(at, fmt::format("reads gradients {} to {} before they are surely summed over all addends{}{}", bucket.begin,
                           bucket.begin + bucket.count, sums_[b].shared ? ", positions" : "",
                           p_.mesh.d() > 1 ? ", replicas" : ""));
  }
}

void GradientSums::end_step(std::size_t at, const HappensBefore& before) {
  const Task& t = task(at);
  if (p_.forward_only) report(at, "updates in a forward pass");
  if (update_ >= 0) report(at, "updates again");
  if (t.begin != 0 || t.count != p_.layout.size)
    report(at, fmt::format("updates elements {} to {} of {}", t.begin, t.begin + t.count, p_.layout.size));
  expect_whole(at, before);
  if (totals_ < 0 || !before.is_over(totals_)) report(at, "updates before the totals are made");
  if (clips_ && (totals_sum_ < 0 || !before.is_over(totals_sum_)))
    report(at, "clips before the norm is summed over all ranks");
  update_ = static_cast<std::int32_t>(at);
}

void GradientSums::finish() {
  for (std::size_t i = 0; i < gradients_.size(); ++i) {
    const Gradient& gradient = gradients_[i];
    if (gradient.added != gradient.expected)
      report_value(p_.layout.segments[i].value,
                   fmt::format("the gradient has {} addends in place of {}", gradient.added, gradient.expected));
  }
  const auto miss = [&](const char* what) { findings_.push_back({what, p_.rank, -1, ""}); };
  if (totals_ < 0) miss("the totals of the step are never made");
  if (totals_sum_ < 0) miss("the totals of the step are never summed over all ranks");
  if (update_ < 0 && !p_.forward_only) miss("there is no update");
  if (update_ >= 0 && index(update_) + 1 != p_.tasks.tasks.size()) report(index(update_), "is not the last task");
}

}  // namespace dml
