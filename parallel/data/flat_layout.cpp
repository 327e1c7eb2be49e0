#include "parallel/data/flat_layout.h"

#include <algorithm>
#include <map>
#include <utility>

#include "models/index.h"

namespace dml {
namespace {

/// A parameter of some stages, in the order of flat buffers.
struct Used {
  ValueId value = kNone;
  NodeId first = kNone;
  const std::vector<int>* stages = nullptr;
  bool summed_last = false;

  bool is_tied() const { return stages->size() > 1; }
};

std::vector<Used> used_by(const ParameterUses& uses, std::span<const int> own_stages) {
  std::map<ValueId, NodeId> first;
  for (const int stage : own_stages) {
    for (const ParameterUses::Use& use : uses.of_stage(stage)) {
      NodeId& node = first.try_emplace(use.value, use.first).first->second;
      node = std::min(node, use.first);
    }
  }
  std::vector<Used> used;
  for (const auto& [value, node] : first) used.push_back({value, node, &uses.stages(value)});
  return used;
}

void fill_buckets(FlatLayout& layout, std::int64_t bucket_elems) {
  for (std::size_t i = 0; i < layout.segments.size(); ++i) {
    const Segment& segment = layout.segments[i];
    const std::int64_t end = segment.begin + segment.count;
    const bool starts = layout.buckets.empty() || layout.buckets.back().tied_stages != segment.tied_stages ||
                        layout.buckets.back().summed_last != segment.summed_last ||
                        layout.buckets.back().count >= bucket_elems;
    if (starts) {
      layout.buckets.push_back({segment.begin, 0, static_cast<int>(i), 0, segment.tied_stages, segment.summed_last});
    }
    Bucket& bucket = layout.buckets.back();
    bucket.count = end - bucket.begin;
    ++bucket.num_segments;
  }
}

}  // namespace

int FlatLayout::find(ValueId value) const {
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (segments[i].value == value) return static_cast<int>(i);
  }
  return -1;
}

ParameterUses::ParameterUses(const SplitGraph& split, std::span<const int> stages) {
  std::map<std::pair<ValueId, int>, NodeId> first;  // by parameter and stage
  for (NodeId id = 0; id < split.graph.num_nodes(); ++id) {
    for (const ValueId input : split.graph.node(id).inputs) {
      if (input == kNone || split.graph.value(input).role == Role::activation) continue;
      if (split.graph.gradient_of.contains(input)) first.try_emplace({input, stages[index(id)]}, id);
    }
  }
  for (const auto& [use, node] : first) {
    const auto [value, stage] = use;
    if (by_stage_.size() <= index(stage)) by_stage_.resize(index(stage) + 1);
    by_stage_[index(stage)].push_back({value, node});
    stages_[value].push_back(stage);
  }
}

std::span<const ParameterUses::Use> ParameterUses::of_stage(int stage) const {
  if (index(stage) >= by_stage_.size()) return {};
  return by_stage_[index(stage)];
}

FlatLayout flat_layout(const SplitGraph& split, const ParameterUses& uses, std::span<const int> own_stages,
                       TensorPlace place, std::int64_t bucket_bytes,
                       const std::function<bool(const std::string&)>& decays) {
  std::vector<Used> used = used_by(uses, own_stages);
  for (Used& use : used) use.summed_last = split.is_summed_last(use.value);
  // The last used is the first whose gradient is finished; what is summed at the end of the step comes behind, and what
  // other stages share, which waits for them, last, in the same order on all of them.
  std::sort(used.begin(), used.end(), [](const Used& a, const Used& b) {
    if (a.is_tied() != b.is_tied()) return b.is_tied();
    if (a.summed_last != b.summed_last) return b.summed_last;
    if (a.is_tied()) return std::pair(*a.stages, a.value) < std::pair(*b.stages, b.value);
    return std::pair(-a.first, a.value) < std::pair(-b.first, b.value);
  });
  FlatLayout layout;
  for (const Used& use : used) {
    const ShardSpec& spec = split.shards[index(use.value)];
    const std::int64_t count = spec.local(place).num_elements();
    layout.segments.push_back({use.value, spec, layout.size, count, decays(spec.name), *use.stages, use.summed_last});
    layout.size += (count + kSegmentAlignment - 1) / kSegmentAlignment * kSegmentAlignment;
  }
  fill_buckets(layout, std::max<std::int64_t>(1, bucket_bytes / 4));
  return layout;
}

}  // namespace dml
