// Where the elements of a value live on the tensor axis: on every rank, divided along a dim, or as addends.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/tensor.h"
#include "models/graph.h"

namespace dml {

/// Replicate: every rank holds the value. Partial: the value is the sum of what the ranks hold. Shard: one dim, read as
/// outer·units·inner elements, is divided by its units; rank i of n holds units [part_begin(units, n, i), …) of each of
/// the `outer` blocks. A plain split of N columns is 1·N·1; by heads 1·H·D; the q, k, v of a fused projection 3·H·D.
struct Sharding {
  enum class Kind : std::uint8_t { replicate, shard, partial };
  Kind kind = Kind::replicate;
  int dim = 0;
  std::int64_t outer = 1, units = 1, inner = 1;

  static Sharding replicate() { return {}; }
  static Sharding partial() { return {Kind::partial, 0, 1, 1, 1}; }
  static Sharding shard(int dim, std::int64_t outer, std::int64_t units, std::int64_t inner) {
    return {Kind::shard, dim, outer, units, inner};
  }
  bool is_replicate() const { return kind == Kind::replicate; }
  bool is_shard() const { return kind == Kind::shard; }
  bool is_partial() const { return kind == Kind::partial; }
  /// The same division of another dim.
  Sharding at(int other_dim) const { return shard(other_dim, outer, units, inner); }
  std::int64_t extent() const { return outer * units * inner; }
  /// "replicate", "partial", "shard(2: 3x4x16)".
  std::string to_string() const;
  friend bool operator==(const Sharding&, const Sharding&) = default;
};

/// Index of this rank among those of the tensor axis.
struct TensorPlace {
  int index = 0;
  int size = 1;
};

Shape local_shape(const Shape& global, const Sharding& sharding, TensorPlace place);

/// What one rank owns of a named tensor: the one description for initialisation, loading, saving and optimizer state.
struct ShardSpec {
  std::string name;
  Shape global_shape;
  Sharding sharding;

  Shape local(TensorPlace place) const { return local_shape(global_shape, sharding, place); }
};

/// Reads a rank's part of `source`, which holds the whole tensor or that part alone; out has
/// spec.local(place).num_elements() floats.
void read_shard(float* out, const TensorSource& source, const ShardSpec& spec, TensorPlace place);

/// A run of elements that lie together both in the whole tensor and in the shard.
struct ShardRun {
  std::int64_t global_begin = 0;
  std::int64_t local_begin = 0;
  std::int64_t count = 0;
};
/// The runs of a rank's shard, in order of both.
std::vector<ShardRun> shard_runs(const Shape& global, const Sharding& sharding, TensorPlace place);

}  // namespace dml
