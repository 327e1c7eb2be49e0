// Walks a BroadcastPlan: hands out runs of the innermost dim, in parallel, without division inside a block of runs.
#pragma once

#include "kernels/broadcast.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

namespace dml::cpu::DML_VARIANT {

/// A run of n elements of the result from `out` on; `in` are the operands' offsets, in elements.
struct Run {
  std::int64_t out;
  std::int64_t in[BroadcastPlan::kMaxOperands];
  std::int64_t n;
};

/// The index of one run in the outer dims, moved forward like an odometer.
struct RunCursor {
  std::int64_t index[Shape::kMaxRank];
  std::int64_t in[BroadcastPlan::kMaxOperands];

  DML_INLINE RunCursor(const BroadcastPlan& plan, std::int64_t row) {
    for (auto& offset : in) offset = 0;
    for (int dim = plan.rank - 2; dim >= 0; --dim) {
      const auto d = static_cast<std::size_t>(dim);
      index[dim] = row % plan.extents[d];
      row /= plan.extents[d];
      for (std::size_t i = 0; i < BroadcastPlan::kMaxOperands; ++i) in[i] += index[dim] * plan.strides[i][d];
    }
  }

  DML_INLINE void advance(const BroadcastPlan& plan) {
    for (int dim = plan.rank - 2; dim >= 0; --dim) {
      const auto d = static_cast<std::size_t>(dim);
      const bool wraps = ++index[dim] == plan.extents[d];
      const std::int64_t steps = wraps ? 1 - plan.extents[d] : 1;
      for (std::size_t i = 0; i < BroadcastPlan::kMaxOperands; ++i) in[i] += steps * plan.strides[i][d];
      if (!wraps) return;
      index[dim] = 0;
    }
  }
};

/// body(Run) for runs that cover the result once; `weight` as in parallel_chunks.
template <typename Body>
static inline void for_each_run(const BroadcastPlan& plan, std::int64_t weight, const Body& body) {
  const std::int64_t n = plan.extents[static_cast<std::size_t>(plan.rank - 1)];
  std::int64_t rows = 1;
  for (int dim = 0; dim + 1 < plan.rank; ++dim) rows *= plan.extents[static_cast<std::size_t>(dim)];
  if (rows == 0 || n == 0) return;
  if (rows == 1) {
    const auto last = static_cast<std::size_t>(plan.rank - 1);
    parallel_chunks(n, weight, [&](std::int64_t begin, std::int64_t end) {
      body(Run{begin,
               {begin * plan.strides[0][last], begin * plan.strides[1][last], begin * plan.strides[2][last]},
               end - begin});
    });
    return;
  }
  const std::int64_t rows_per_block = n < kChunkElems ? kChunkElems / n : 1;
  const std::int64_t blocks = (rows + rows_per_block - 1) / rows_per_block;
  parallel_for(blocks, rows_per_block * n * weight, [&](std::int64_t block) {
    const std::int64_t first = block * rows_per_block;
    const std::int64_t last = first + rows_per_block < rows ? first + rows_per_block : rows;
    RunCursor cursor(plan, first);
    for (std::int64_t row = first; row < last; ++row, cursor.advance(plan)) {
      body(Run{row * n, {cursor.in[0], cursor.in[1], cursor.in[2]}, n});
    }
  });
}

}  // namespace dml::cpu::DML_VARIANT
