// Parameters, gradients and optimizer state of a rank as flat buffers: the table of their segments, in the order in
// which the backward pass finishes their gradients, and the buckets in which these are summed over the replicas.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "models/graph.h"
#include "parallel/tensor/split.h"

namespace dml {

/// One parameter's place in the flat buffers. Offsets and counts are in elements.
struct Segment {
  ValueId value = kNone;
  ShardSpec spec;
  std::int64_t begin = 0;
  std::int64_t count = 0;
  bool decays = true;            ///< weight decay applies
  std::vector<int> tied_stages;  ///< all stages that use it; one entry where only this one does
  bool summed_last = false;      ///< as SplitGraph says
};

/// A contiguous run of segments whose gradients are reduced together.
struct Bucket {
  std::int64_t begin = 0;
  std::int64_t count = 0;
  int first_segment = 0;
  int num_segments = 0;
  std::vector<int> tied_stages;  ///< more than one: summed over these stages first
  /// Over the tensor axis, at the end of the step, before the replicas. Never where stages share it.
  bool summed_last = false;

  /// Whether its gradients are whole only after a sum beside that over the replicas.
  bool is_shared() const { return summed_last || tied_stages.size() > 1; }
};

struct FlatLayout {
  std::vector<Segment> segments;
  std::vector<Bucket> buckets;
  std::int64_t size = 0;  ///< elements, padding included

  /// Index of the segment of a parameter, or -1.
  int find(ValueId value) const;
};

/// The trained parameters that each stage reads, found once for all positions; the same for all tensor indices.
class ParameterUses {
 public:
  /// In a stage: a parameter, and the first node there that reads it.
  struct Use {
    ValueId value = kNone;
    NodeId first = kNone;
  };

  /// `stages` is by node of the split graph.
  ParameterUses(const SplitGraph& split, std::span<const int> stages);

  std::span<const Use> of_stage(int stage) const;
  /// The stages that read a parameter, ascending.
  const std::vector<int>& stages(ValueId parameter) const { return stages_.at(parameter); }

 private:
  std::vector<std::vector<Use>> by_stage_;
  std::map<ValueId, std::vector<int>> stages_;
};

/// Segments begin at multiples of 16 elements, so that vector loads are aligned.
inline constexpr std::int64_t kSegmentAlignment = 16;

/// The layout of the parameters that the given stages use.
FlatLayout flat_layout(const SplitGraph& split, const ParameterUses& uses, std::span<const int> own_stages,
                       TensorPlace place, std::int64_t bucket_bytes,
                       const std::function<bool(const std::string&)>& decays);

}  // namespace dml
