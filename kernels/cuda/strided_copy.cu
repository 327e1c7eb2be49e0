#include "kernels/cuda/strided_copy.h"

#include "kernels/cuda/device/index.cuh"

namespace dml::cuda {
namespace strided {

inline constexpr int kThreads = 256;
inline constexpr int kPerThread = 4;                                                         ///< loads in flight
inline constexpr std::int64_t kMostWords = (std::int64_t{1} << 31) - kThreads * kPerThread;  ///< of a launch

template <typename Word>
__global__ void __launch_bounds__(kThreads) copy(Word* to, const Word* from, StridedDims<2> dims, std::uint32_t count) {
  const std::uint32_t first = blockIdx.x * (kThreads * kPerThread) + threadIdx.x;
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) {
    const std::uint32_t i = first + k * kThreads;
    std::int64_t offsets[2] = {};
    if (i >= count) continue;
    dims.locate(i, offsets);
    to[offsets[0]] = from[offsets[1]];
  }
}

template <typename Word>
void launch_words(Word* to, const Word* from, StridedCopy plan, const Queue& queue) {
  const std::int64_t count = plan.num_elements();
  if (count > kMostWords) {  // in two halves of the outermost dim
    const std::int64_t half = plan.extents[0] / 2;
    StridedCopy rest = plan;
    rest.extents[0] -= half;
    plan.extents[0] = half;
    launch_words(to, from, plan, queue);
    return launch_words(to + half * plan.to_strides[0], from + half * plan.from_strides[0], rest, queue);
  }
  StridedDims<2> dims;
  for (std::size_t dim = 0; dim < static_cast<std::size_t>(plan.rank); ++dim) {
    dims.add(plan.extents[dim], {plan.to_strides[dim], plan.from_strides[dim]});
  }
  launch<copy<Word>>(blocks_of(count, kThreads * kPerThread), kThreads, 0, queue, to, from, dims,
                     static_cast<std::uint32_t>(count));
}

/// Extents of 1 are gone, and neighbours that both sides walk as one are one.
StridedCopy merged(const StridedCopy& plan) {
  StridedCopy result;
  for (std::size_t dim = 0; dim < static_cast<std::size_t>(plan.rank); ++dim) {
    if (plan.extents[dim] == 1) continue;
    const auto last = static_cast<std::size_t>(result.rank - 1);
    if (result.rank > 0 && result.to_strides[last] == plan.extents[dim] * plan.to_strides[dim] &&
        result.from_strides[last] == plan.extents[dim] * plan.from_strides[dim]) {
      result.extents[last] *= plan.extents[dim];
      result.to_strides[last] = plan.to_strides[dim];
      result.from_strides[last] = plan.from_strides[dim];
    } else {
      result.push_back(plan.extents[dim], plan.to_strides[dim], plan.from_strides[dim]);
    }
  }
  return result;
}

/// Whether pairs of neighbouring elements can be moved as one.
bool pairs(const StridedCopy& plan, std::uintptr_t addresses, std::size_t elem_size) {
  if (plan.rank == 0 || elem_size >= 16 || addresses % (2 * elem_size) != 0) return false;
  const auto last = static_cast<std::size_t>(plan.rank - 1);
  bool even = plan.to_strides[last] == 1 && plan.from_strides[last] == 1 && plan.extents[last] % 2 == 0;
  for (std::size_t dim = 0; dim < last; ++dim) {
    even = even && plan.to_strides[dim] % 2 == 0 && plan.from_strides[dim] % 2 == 0;
  }
  return even;
}

void make_pairs(StridedCopy& plan) {
  const auto last = static_cast<std::size_t>(plan.rank - 1);
  plan.extents[last] /= 2;
  for (std::size_t dim = 0; dim < last; ++dim) {
    plan.to_strides[dim] /= 2;
    plan.from_strides[dim] /= 2;
  }
}

}  // namespace strided

void StridedCopy::push_back(std::int64_t extent, std::int64_t to_stride, std::int64_t from_stride) {
  const auto dim = static_cast<std::size_t>(rank++);
  extents[dim] = extent;
  to_strides[dim] = to_stride;
  from_strides[dim] = from_stride;
}

std::int64_t StridedCopy::num_elements() const {
  std::int64_t result = 1;
  for (int dim = 0; dim < rank; ++dim) result *= extents[static_cast<std::size_t>(dim)];
  return result;
}

void copy_strided(void* to, const void* from, const StridedCopy& plan, std::size_t elem_size, const Queue& queue) {
  if (plan.num_elements() == 0) return;
  StridedCopy words = strided::merged(plan);
  const auto addresses = reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from);
  while (strided::pairs(words, addresses, elem_size)) {
    strided::make_pairs(words);
    elem_size *= 2;
  }
  const auto launch = [&]<typename Word>(Word) {
    strided::launch_words(static_cast<Word*>(to), static_cast<const Word*>(from), words, queue);
  };
  switch (elem_size) {
    case 1: return launch(std::uint8_t{});
    case 2: return launch(std::uint16_t{});
    case 4: return launch(std::uint32_t{});
    case 8: return launch(std::uint64_t{});
    default: return launch(uint4{});
  }
}

}  // namespace dml::cuda
