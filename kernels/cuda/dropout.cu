// A thread draws one block of four random words, which decide four neighbours of the whole tensor.
#include "kernels/dropout.h"

#include "kernels/cuda/device/index.cuh"
#include "kernels/cuda/device/pack.cuh"
#include "kernels/philox.h"

namespace dml::cuda {

inline constexpr int kDropoutThreads = 256;
inline constexpr int kWordsOfACounter = 4;

/// Of one launch. Blocks are the parts of a sample that lie together in the whole tensor.
struct DropoutPlan {
  DropoutSite site;
  DropoutShard shard;
  std::int64_t elems = 0;  ///< of a sample, here
  std::uint32_t threads = 0;
  Divisor counters;  ///< threads of a block of elements
  Divisor blocks;    ///< of a sample
  std::uint64_t threshold = 0;
  float factor = 1;
  bool packed = false;  ///< both operands begin on the boundary of a pack
};

namespace kernels {

template <typename T>
__global__ void __launch_bounds__(kDropoutThreads) dropout(T* y, const T* x, DropoutPlan plan, const StepState* state) {
  const std::uint32_t thread = blockIdx.x * kDropoutThreads + threadIdx.x;
  if (thread >= plan.threads) return;
  const std::uint32_t item = plan.counters.quotient(thread);
  const std::uint32_t sample = plan.blocks.quotient(item);
  const std::int64_t block = item - sample * plan.blocks.divisor;
  const std::int64_t whole_begin = plan.shard.begin + block * plan.shard.stride;
  const std::int64_t counter = whole_begin / kWordsOfACounter + (thread - item * plan.counters.divisor);
  const std::int64_t first = counter * kWordsOfACounter - whole_begin;  // in the block of elements; may lie outside
  const std::int64_t here = sample * plan.elems + block * plan.shard.block;

  const bool trains = state->trains;
  const std::uint64_t seed = state->seed;
  const PhiloxBlock words =
      philox4x32({static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(plan.site.first_sample + sample),
                  static_cast<std::uint32_t>(state->step), static_cast<std::uint32_t>(plan.site.site)},
                 {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  const auto drop = [&](T stored, int word) {
    const float value = number_of(stored);
    const float kept = words[word] >= plan.threshold ? value * plan.factor : 0.0f;
    return stored_as<T>(trains ? kept : value);
  };
  if (plan.packed && first >= 0 && first + kWordsOfACounter <= plan.shard.block &&
      (here + first) % kWordsOfACounter == 0) {
    auto pack = load_pack<kWordsOfACounter>(x + here + first);
#pragma unroll
    for (int word = 0; word < kWordsOfACounter; ++word) pack.data[word] = drop(pack.data[word], word);
    store_pack(y + here + first, pack);
    return;
  }
#pragma unroll
  for (int word = 0; word < kWordsOfACounter; ++word) {
    const std::int64_t at = first + word;
    if (at >= 0 && at < plan.shard.block) y[here + at] = drop(x[here + at], word);
  }
}

}  // namespace kernels

template <typename T>
void dropout(T* y, const T* x, std::int64_t samples, std::int64_t elems, const DropoutSite& site,
             const DropoutShard& shard, const StepState* state, const Queue& queue) {
  if (samples == 0 || shard.block == 0) return;
  // Words that the elements of a block can touch, wherever it begins.
  const std::int64_t counters = (shard.block + 2 * (kWordsOfACounter - 1)) / kWordsOfACounter;
  const std::int64_t blocks = elems / shard.block;
  DropoutPlan plan;
  plan.site = site;
  plan.shard = shard;
  plan.elems = elems;
  plan.threads = static_cast<std::uint32_t>(indexable(samples * blocks * counters));
  plan.counters = Divisor(counters);
  plan.blocks = Divisor(blocks);
  const bool drops_all = site.ratio >= 1.0;
  plan.threshold = drops_all ? std::uint64_t{1} << 32 : static_cast<std::uint64_t>(site.ratio * 4294967296.0);
  plan.factor = drops_all ? 0.0f : static_cast<float>(1.0 / (1.0 - site.ratio));
  plan.packed = are_packs<T>(0, {y, x}, kWordsOfACounter);
  launch<kernels::dropout<T>>(blocks_of(plan.threads, kDropoutThreads), kDropoutThreads, 0, queue, y, x, plan, state);
}

#define DML_INSTANTIATE(T)                                                                                 \
  template void dropout(T*, const T*, std::int64_t, std::int64_t, const DropoutSite&, const DropoutShard&, \
                        const StepState*, const Queue&)
DML_INSTANTIATE(float);
DML_INSTANTIATE(bf16);
#undef DML_INSTANTIATE

}  // namespace dml::cuda
