// The one way in which kernels use threads: independent items, split statically. What an item computes never depends
// on the number of threads, so results don't either.
#pragma once

#include <cstdint>

namespace dml::cpu {

/// Below this many elements of work, starting threads costs more than it gains.
inline constexpr std::int64_t kParallelElems = 32768;
/// Elements of one item where a flat range is cut up.
inline constexpr std::int64_t kChunkElems = 8192;

/// body(i) for i in [0, items), each about `elems` elements of work. The body must not throw.
template <typename Body>
static inline void parallel_for(std::int64_t items, std::int64_t elems, const Body& body) {
  [[maybe_unused]] const bool pays = items > 1 && items * elems > kParallelElems;
#pragma omp parallel for schedule(static) if (pays)
  for (std::int64_t item = 0; item < items; ++item) body(item);
}

/// body(begin, end) for the chunks of [0, n); `weight` is the work of an element in elements of a plain copy.
template <typename Body>
static inline void parallel_chunks(std::int64_t n, std::int64_t weight, const Body& body) {
  const std::int64_t items = (n + kChunkElems - 1) / kChunkElems;
  parallel_for(items, kChunkElems * weight, [&](std::int64_t item) {
    const std::int64_t begin = item * kChunkElems;
    const std::int64_t end = begin + kChunkElems < n ? begin + kChunkElems : n;
    body(begin, end);
  });
}

}  // namespace dml::cpu
