#include "parallel/data/flat_layout.h"

#include <algorithm>
#include <map>
#include <set>

namespace dml {
namespace {

struct Use {
  NodeId first = kNone;  ///< first forward node on these stages that reads it
  std::set<int> stages;  ///< all stages that read it
  bool here = false;
};

std::map<ValueId, Use> uses_of(const SplitGraph& split, std::span<const int> stages, std::span<const int> own) {
  std::map<ValueId, Use> uses;
  for (NodeId id = 0; id < split.graph.num_nodes(); ++id) {
    const Node& node = split.graph.node(id);
    const int stage = stages[static_cast<std::size_t>(id)];
    for (const ValueId input : node.inputs) {
      if (input == kNone || split.graph.gradient_of.count(input) == 0) continue;
      Use& use = uses[input];
      use.stages.insert(stage);
      if (std::find(own.begin(), own.end(), stage) == own.end()) continue;
      use.here = true;
      if (use.first == kNone) use.first = id;
    }
  }
  return uses;
}

void fill_buckets(FlatLayout& layout, std::int64_t bucket_elems) {
  for (std::size_t i = 0; i < layout.segments.size(); ++i) {
    const Segment& segment = layout.segments[i];
    const std::int64_t end = segment.begin + segment.count;
    const bool starts = layout.buckets.empty() || layout.buckets.back().tied_stages != segment.tied_stages ||
                        layout.buckets.back().count >= bucket_elems;
    if (starts) layout.buckets.push_back({segment.begin, 0, static_cast<int>(i), 0, segment.tied_stages});
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

FlatLayout flat_layout(const SplitGraph& split, std::span<const int> stages, std::span<const int> own_stages,
                       TensorPlace place, std::int64_t bucket_bytes,
                       const std::function<bool(const std::string&)>& decays) {
  std::vector<std::pair<ValueId, Use>> used;
  for (const auto& [value, use] : uses_of(split, stages, own_stages)) {
    if (use.here) used.emplace_back(value, use);
  }
  // The last used is the first whose gradient is finished; what other stages share waits for them, and comes last, in
  // the same order on all of them.
  std::sort(used.begin(), used.end(), [](const auto& a, const auto& b) {
    const bool tied_a = a.second.stages.size() > 1;
    const bool tied_b = b.second.stages.size() > 1;
    if (tied_a != tied_b) return tied_b;
    if (tied_a) return std::pair(a.second.stages, a.first) < std::pair(b.second.stages, b.first);
    return std::pair(-a.second.first, a.first) < std::pair(-b.second.first, b.first);
  });
  FlatLayout layout;
  for (const auto& [value, use] : used) {
    const ShardSpec& spec = split.shards[static_cast<std::size_t>(value)];
    const std::int64_t count = spec.local(place).num_elements();
    layout.segments.push_back(
        {value, spec, layout.size, count, decays(spec.name), {use.stages.begin(), use.stages.end()}});
    layout.size += (count + kSegmentAlignment - 1) / kSegmentAlignment * kSegmentAlignment;
  }
  fill_buckets(layout, std::max<std::int64_t>(1, bucket_bytes / 4));
  return layout;
}

}  // namespace dml
