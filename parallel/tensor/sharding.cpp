#include "parallel/tensor/sharding.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.h"

namespace dml {

std::string Sharding::to_string() const {
  switch (kind) {
    case Kind::replicate: return "replicate";
    case Kind::partial: return "partial";
    case Kind::shard: return fmt::format("shard({}: {}x{}x{})", dim, outer, units, inner);
  }
  return "?";
}

Shape local_shape(const Shape& global, const Sharding& sharding, TensorPlace place) {
  Shape shape = global;
  if (sharding.is_shard()) {
    DML_ASSERT(global[sharding.dim] == sharding.extent(), global.to_string() + " as " + sharding.to_string());
    shape[sharding.dim] = sharding.outer * part_size(sharding.units, place.size, place.index) * sharding.inner;
  }
  return shape;
}

std::vector<ShardRun> shard_runs(const Shape& global, const Sharding& sharding, TensorPlace place) {
  if (!sharding.is_shard()) return {{0, 0, global.num_elements()}};
  const std::int64_t after = global.product(sharding.dim + 1, global.rank()) * sharding.inner;
  const std::int64_t blocks = global.product(0, sharding.dim) * sharding.outer;
  const std::int64_t begin = part_begin(sharding.units, place.size, place.index);
  const std::int64_t count = part_size(sharding.units, place.size, place.index) * after;
  std::vector<ShardRun> runs;
  for (std::int64_t block = 0; block < blocks && count > 0; ++block) {
    runs.push_back({(block * sharding.units + begin) * after, block * count, count});
  }
  return runs;
}

void read_shard(float* out, const TensorSource& source, const ShardSpec& spec, TensorPlace place) {
  const Shape& global = spec.global_shape;
  if (!spec.sharding.is_shard() || source.shape() == spec.local(place)) {
    source.read_all_f32(out);
    return;
  }
  const Sharding& s = spec.sharding;
  Shape offset = global;
  for (int dim = 0; dim < global.rank(); ++dim) offset[dim] = 0;
  Shape extent = global;
  extent[s.dim] = part_size(s.units, place.size, place.index) * s.inner;
  const std::int64_t first = part_begin(s.units, place.size, place.index) * s.inner;
  const std::int64_t rows = global.product(0, s.dim);
  const std::int64_t columns = extent[s.dim] * global.product(s.dim + 1, global.rank());
  std::vector<float> block(static_cast<std::size_t>(s.outer > 1 ? rows * columns : 0));
  for (std::int64_t o = 0; o < s.outer; ++o) {
    offset[s.dim] = o * s.units * s.inner + first;
    if (s.outer == 1) {
      source.read_f32(out, offset, extent);
      return;
    }
    source.read_f32(block.data(), offset, extent);
    for (std::int64_t row = 0; row < rows; ++row) {
      std::copy_n(block.data() + row * columns, columns, out + (row * s.outer + o) * columns);
    }
  }
}

}  // namespace dml
