// Compiled once per instruction set. Random words are made for kGroups counters at a time, then applied.
#include "kernels/dropout.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

namespace dml::cpu::DML_VARIANT {
namespace {

using Word = std::uint32_t;

constexpr std::int64_t kGroups = 32;
constexpr std::int64_t kWords = 4 * kGroups;

struct Counter {
  Word sample, step, site;
  Word key0, key1;
};

/// words[4·i + w] = word w of counter first + i.
void philox(Word* words, std::int64_t first, const Counter& at) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  constexpr Word kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
#pragma omp simd
  for (std::int64_t i = 0; i < kGroups; ++i) {
    Word c0 = static_cast<Word>(first + i), c1 = at.sample, c2 = at.step, c3 = at.site;
    Word key0 = at.key0, key1 = at.key1;
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t product0 = kMultiplier0 * c0;
      const std::uint64_t product1 = kMultiplier1 * c2;
      c0 = static_cast<Word>(product1 >> 32) ^ c1 ^ key0;
      c1 = static_cast<Word>(product1);
      c2 = static_cast<Word>(product0 >> 32) ^ c3 ^ key1;
      c3 = static_cast<Word>(product0);
      key0 += kWeyl0;
      key1 += kWeyl1;
    }
    words[4 * i] = c0;
    words[4 * i + 1] = c1;
    words[4 * i + 2] = c2;
    words[4 * i + 3] = c3;
  }
}

/// Elements that lie side by side in the whole tensor, from `element` of the sample on.
void apply(float* y, const float* x, std::int64_t n, std::int64_t element, const Counter& at, Word threshold,
           float factor) {
  Word words[kWords];
  std::int64_t done = 0;
  while (done < n) {
    const std::int64_t skipped = (element + done) % 4;
    philox(words, (element + done) / 4, at);
    const std::int64_t count = n - done < kWords - skipped ? n - done : kWords - skipped;
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
      y[done + i] = words[skipped + i] >= threshold ? x[done + i] * factor : 0.0f;
    }
    done += count;
  }
}

}  // namespace

void dropout(float* y, const float* x, std::int64_t samples, std::int64_t elems, const DropoutSite& site,
             const DropoutShard& shard) {
  if (site.ratio >= 1.0) {
    parallel_chunks(samples * elems, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) y[i] = 0;
    });
    return;
  }
  const auto threshold = static_cast<Word>(site.ratio * 4294967296.0);
  const auto factor = static_cast<float>(1.0 / (1.0 - site.ratio));
  const std::int64_t pieces = shard.block > 0 ? (shard.block + kChunkElems - 1) / kChunkElems : 0;
  const std::int64_t blocks = shard.block > 0 ? elems / shard.block : 0;
  parallel_for(samples * blocks * pieces, 8 * (shard.block < kChunkElems ? shard.block : kChunkElems),
               [&](std::int64_t item) {
                 const std::int64_t begin = item % pieces * kChunkElems;
                 const std::int64_t block = item / pieces % blocks;
                 const std::int64_t sample = item / pieces / blocks;
                 const std::int64_t n = shard.block - begin < kChunkElems ? shard.block - begin : kChunkElems;
                 const Counter at{static_cast<Word>(site.first_sample + sample), static_cast<Word>(site.step),
                                  static_cast<Word>(site.site), static_cast<Word>(site.seed),
                                  static_cast<Word>(site.seed >> 32)};
                 const std::int64_t from = sample * elems + block * shard.block + begin;
                 apply(y + from, x + from, n, shard.begin + block * shard.stride + begin, at, threshold, factor);
               });
}

}  // namespace dml::cpu::DML_VARIANT

DML_DISPATCH(void, dropout,
             (float* y, const float* x, std::int64_t samples, std::int64_t elems, const DropoutSite& site,
              const DropoutShard& shard),
             (y, x, samples, elems, site, shard));
