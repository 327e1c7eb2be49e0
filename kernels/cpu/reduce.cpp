// Compiled once per instruction set.
#include "kernels/reduce.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sums.h"

namespace dml::cpu::DML_VARIANT {
namespace {

std::int64_t offset_of(const ReducePlan::Dims& dims, std::int64_t index) {
  std::int64_t offset = 0;
  for (int dim = dims.rank - 1; dim >= 0; --dim) {
    const auto d = static_cast<std::size_t>(dim);
    offset += index % dims.extents[d] * dims.strides[d];
    index /= dims.extents[d];
  }
  return offset;
}

double sum_range(const float* x, std::int64_t begin, std::int64_t end) {
  return sum_terms(end - begin, [&](std::int64_t i) { return x[begin + i]; });
}

/// Σ over all reduced indices of one kept index, in parallel blocks.
double sum_one(const float* x, const ReducePlan& plan) {
  constexpr std::int64_t kBlockElems = 16384;
  if (plan.reduced.count == 1) {
    return sum_blocks(plan.inner, kBlockElems, 1,
                      [&](std::int64_t begin, std::int64_t end) { return sum_range(x, begin, end); });
  }
  const std::int64_t rows_per_block = plan.inner < kBlockElems ? kBlockElems / (plan.inner + 1) : 1;
  return sum_blocks(plan.reduced.count, rows_per_block, plan.inner, [&](std::int64_t begin, std::int64_t end) {
    double total = 0;
    for (std::int64_t row = begin; row < end; ++row) {
      total += sum_range(x + offset_of(plan.reduced, row), 0, plan.inner);
    }
    return total;
  });
}

void reduce_rows(float* y, const float* x, const ReducePlan& plan, double factor) {
  if (plan.kept.count < 8) {
    for (std::int64_t kept = 0; kept < plan.kept.count; ++kept) {
      y[kept] = static_cast<float>(factor * sum_one(x + offset_of(plan.kept, kept), plan));
    }
    return;
  }
  parallel_for(plan.kept.count, plan.reduced.count * plan.inner, [&](std::int64_t kept) {
    const float* from = x + offset_of(plan.kept, kept);
    double total = 0;
    for (std::int64_t row = 0; row < plan.reduced.count; ++row) {
      total += sum_range(from + offset_of(plan.reduced, row), 0, plan.inner);
    }
    y[kept] = static_cast<float>(factor * total);
  });
}

void add_to(float* sums, const float* x, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) sums[i] += x[i];
}

void reduce_columns(float* y, const float* x, const ReducePlan& plan, double factor) {
  const auto scale_into = [factor](float* out, const double* total, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(factor * total[i]);
  };
  if (plan.kept.count == 1) {
    sum_columns<1>(
        plan.reduced.count, plan.inner,
        [&](float* sums, std::int64_t row, std::int64_t column, std::int64_t n) {
          add_to(sums, x + offset_of(plan.reduced, row) + column, n);
        },
        [&](const double* total, std::int64_t column, std::int64_t n) { scale_into(y + column, total, n); });
    return;
  }
  const std::int64_t tiles = (plan.inner + kTileColumns - 1) / kTileColumns;
  parallel_for(plan.kept.count * tiles, plan.reduced.count * kTileColumns, [&](std::int64_t item) {
    const std::int64_t kept = item / tiles;
    const std::int64_t column = item % tiles * kTileColumns;
    const std::int64_t n = plan.inner - column < kTileColumns ? plan.inner - column : kTileColumns;
    const float* from = x + offset_of(plan.kept, kept) + column;
    double total[kTileColumns] = {};
    add_rows<1>(total, 0, plan.reduced.count,
                [&](float* sums, std::int64_t row) { add_to(sums, from + offset_of(plan.reduced, row), n); });
    scale_into(y + kept * plan.inner + column, total, n);
  });
}

}  // namespace

void reduce_sum(float* y, const float* x, const ReducePlan& plan, double factor) {
  if (plan.inner_is_reduced) {
    reduce_rows(y, x, plan, factor);
  } else {
    reduce_columns(y, x, plan, factor);
  }
}

}  // namespace dml::cpu::DML_VARIANT

DML_DISPATCH(void, reduce_sum, (float* y, const float* x, const ReducePlan& plan, double factor), (y, x, plan, factor));
