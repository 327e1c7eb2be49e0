#include "runtime/comm/collectives/sum.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "kernels/error.h"

namespace dml {

namespace {

/// Elements summed at a time: all partial sums stay in the first-level cache.
constexpr std::int64_t kChunk = 1024;

template <typename T>
void add(T* __restrict sum, const T* __restrict a, const T* __restrict b, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sum[i] = a[i] + b[i];
}

template <typename T>
void accumulate(T* __restrict sum, const T* __restrict a, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sum[i] += a[i];
}

template <typename T>
void sum_typed(T* out, std::span<const void* const> sources, std::int64_t count) {
  alignas(64) T sum[kChunk];
  const auto source = [&](std::size_t rank, std::int64_t begin) {
    return static_cast<const T*>(sources[rank]) + begin;
  };
  for (std::int64_t begin = 0; begin < count; begin += kChunk) {
    const std::int64_t num = std::min(kChunk, count - begin);
    add(sum, source(0, begin), source(1, begin), num);
    for (std::size_t rank = 2; rank < sources.size(); ++rank) accumulate(sum, source(rank, begin), num);
    std::memcpy(out + begin, sum, static_cast<std::size_t>(num) * sizeof(T));
  }
}

}  // namespace

void check_summable(DataType dtype, const char* operation) {
  if (dtype == DataType::f32 || dtype == DataType::f64 || dtype == DataType::i64) return;
  throw std::invalid_argument(fmt::format("[{}] sums f32, f64 or i64, not {}", operation, name_of(dtype)));
}

void sum_in_order(void* out, std::span<const void* const> sources, std::int64_t count, DataType dtype) {
  DML_ASSERT(sources.size() >= 2, std::to_string(sources.size()) + " sources");
  switch (dtype) {
    case DataType::f32: return sum_typed(static_cast<float*>(out), sources, count);
    case DataType::f64: return sum_typed(static_cast<double*>(out), sources, count);
    case DataType::i64: return sum_typed(static_cast<std::int64_t*>(out), sources, count);
    default: check_summable(dtype, "sum");
  }
}

}  // namespace dml
