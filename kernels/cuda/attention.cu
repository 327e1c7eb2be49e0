// A block keeps a tile of rows (queries, or keys in one half of the backward pass) in shared memory, and walks the
// tiles of the other side (Dao et al., 2022). Sixteen threads share a row of the score tile: each holds a few of its
// columns, and a part of the row's results, in registers. Products are float multiply-adds from shared memory, whatever
// the storage type. B batch, T queries, S keys, H heads, D head width, kWidth D padded with zeros.
//
// Forward, for each of T/kRows tiles: reads Q once, K and V once; 4·T·S·D multiply-adds and adds per head in all.
// Backward: one kernel owns tiles of keys (dK, dV), a second one tiles of queries (dQ), so that each result has one
// writer and the order of its sums is fixed; the scores are computed again in both.
#include "kernels/attention.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "kernels/cuda/device/online_softmax.cuh"
#include "kernels/cuda/device/workspace.h"

namespace dml::cuda {

inline constexpr int kAttentionThreads = 128;
inline constexpr int kGradBlocks = 3;  ///< of a multiprocessor; unasked, the compiler makes room for more and spills
inline constexpr int kColumnThreads = 16;  ///< side by side on a row
inline constexpr int kRowThreads = kAttentionThreads / kColumnThreads;
inline constexpr int kQuad = 4;  ///< floats that are read at once from shared memory

/// A tile of rows against a tile of columns of the scores.
template <int kPaddedWidth, int kRowsOfTile, int kColumnsOfTile>
struct Tiling {
  static constexpr int kWidth = kPaddedWidth;
  static constexpr int kRows = kRowsOfTile;
  static constexpr int kColumns = kColumnsOfTile;
  static constexpr int kRowsOfThread = kRows / kRowThreads;
  static constexpr int kColumnsOfThread = kColumns / kColumnThreads;
  static constexpr int kWidthOfThread = kWidth / kColumnThreads;  ///< columns of results
  static constexpr int kPack = std::min(kQuad, kWidthOfThread);   ///< of them, neighbours
  // Four floats more than whole rows: threads that read quads of successive rows meet different banks.
  static constexpr int kStride = kWidth + kQuad;
  static constexpr int kScoreStride = kColumns + kQuad;
  static constexpr int kRowFloats = kRows * kStride;
  static constexpr int kColumnFloats = kColumns * kStride;
  static constexpr int kScoreFloats = kRows * kScoreStride;
};

/// One head of one batch entry, and the tile of the block.
struct HeadTile {
  std::int64_t batch, head, tile;
};

/// Blocks are numbered by head, and within it by tile, the last tile first: under a causal mask the last tile of
/// queries has the most to do.
__device__ __forceinline__ HeadTile head_tile(std::int64_t tiles, std::int64_t heads, bool last_first) {
  const std::int64_t tile = blockIdx.x % tiles;
  const std::int64_t head = blockIdx.x / tiles;
  return {head / heads, head % heads, last_first ? tiles - 1 - tile : tile};
}

/// First element of one head in the first row of one batch entry.
template <typename T>
__device__ __forceinline__ T* head_of(TokenRows<T> rows, std::int64_t tokens, const HeadTile& at, std::int64_t width) {
  return rows.data + at.batch * tokens * rows.stride + at.head * width;
}

__device__ __forceinline__ int row_thread() { return static_cast<int>(threadIdx.x) / kColumnThreads; }
__device__ __forceinline__ int column_thread() { return static_cast<int>(threadIdx.x) % kColumnThreads; }

/// tile [kCount, kWidth] = factor · rows [first, first + kCount); 0 beyond `count` rows and `width` columns.
template <int kCount, typename Tiles, typename T>
__device__ __forceinline__ void load_tile(float* tile, TokenRows<const T> rows, std::int64_t first, std::int64_t count,
                                          int width, bool packed, float factor) {
  constexpr int kQuads = Tiles::kWidth / kQuad;
  for (int item = static_cast<int>(threadIdx.x); item < kCount * kQuads; item += kAttentionThreads) {
    const int row = item / kQuads;
    const int column = item % kQuads * kQuad;
    const T* const from = rows.data + (first + row) * rows.stride + column;
    Pack<float, kQuad> quad{};
    if (first + row < count && packed && column < width) {
      const auto stored = load_pack<kQuad>(from);
#pragma unroll
      for (int i = 0; i < kQuad; ++i) quad.data[i] = factor * number_of(stored.data[i]);
    } else if (first + row < count) {
#pragma unroll
      for (int i = 0; i < kQuad; ++i) quad.data[i] = column + i < width ? factor * number_of(from[i]) : 0.0f;
    }
    store_pack(tile + row * Tiles::kStride + column, quad);
  }
}

/// scores[r][c] = Σ over the width of a[row r] · b[column c], of the thread's rows and columns. Its columns are
/// kColumnThreads apart.
template <typename Tiles>
__device__ __forceinline__ void multiply_rows(float (&scores)[Tiles::kRowsOfThread][Tiles::kColumnsOfThread],
                                              const float* a, const float* b) {
  constexpr int kRows = Tiles::kRowsOfThread, kColumns = Tiles::kColumnsOfThread;
  const float* const a_rows = a + row_thread() * kRows * Tiles::kStride;
  const float* const b_rows = b + column_thread() * Tiles::kStride;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int c = 0; c < kColumns; ++c) scores[r][c] = 0;
  }
#pragma unroll 2
  for (int d = 0; d < Tiles::kWidth; d += kQuad) {
    Pack<float, kQuad> of_columns[kColumns];
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      of_columns[c] = load_pack<kQuad>(b_rows + c * kColumnThreads * Tiles::kStride + d);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const auto of_row = load_pack<kQuad>(a_rows + r * Tiles::kStride + d);
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
#pragma unroll
        for (int i = 0; i < kQuad; ++i) scores[r][c] = fmaf(of_row.data[i], of_columns[c].data[i], scores[r][c]);
      }
    }
  }
}

/// Results of the thread: its rows, and of the width the packs that begin at column_thread() · kPack and every
/// kColumnThreads · kPack further.
template <typename Tiles>
using RowResults = float[Tiles::kRowsOfThread][Tiles::kWidthOfThread];

/// results += weights [kRows, kColumns] · b [kColumns, kWidth].
template <typename Tiles>
__device__ __forceinline__ void add_weighted_rows(RowResults<Tiles>& results, const float* weights, const float* b) {
  constexpr int kPack = Tiles::kPack;
  const float* const of_rows = weights + row_thread() * Tiles::kRowsOfThread * Tiles::kScoreStride;
  const float* const columns = b + column_thread() * kPack;
  for (int j = 0; j < Tiles::kColumns; j += kQuad) {
    Pack<float, kQuad> weight[Tiles::kRowsOfThread];
#pragma unroll
    for (int r = 0; r < Tiles::kRowsOfThread; ++r) weight[r] = load_pack<kQuad>(of_rows + r * Tiles::kScoreStride + j);
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
#pragma unroll
      for (int w = 0; w < Tiles::kWidthOfThread; w += kPack) {
        const auto pack = load_pack<kPack>(columns + (j + i) * Tiles::kStride + w * kColumnThreads);
#pragma unroll
        for (int r = 0; r < Tiles::kRowsOfThread; ++r) {
#pragma unroll
          for (int e = 0; e < kPack; ++e) results[r][w + e] = fmaf(weight[r].data[i], pack.data[e], results[r][w + e]);
        }
      }
    }
  }
}

/// rows [first + the thread's rows] = factor · results.
template <typename Tiles, typename T>
__device__ __forceinline__ void store_results(TokenRows<T> rows, std::int64_t first, std::int64_t count, int width,
                                              bool packed, const RowResults<Tiles>& results,
                                              const float (&factors)[Tiles::kRowsOfThread]) {
  constexpr int kPack = Tiles::kPack;
#pragma unroll
  for (int r = 0; r < Tiles::kRowsOfThread; ++r) {
    const std::int64_t row = first + row_thread() * Tiles::kRowsOfThread + r;
    if (row >= count) continue;
#pragma unroll
    for (int w = 0; w < Tiles::kWidthOfThread; w += kPack) {
      const int column = column_thread() * kPack + w * kColumnThreads;
      T* const to = rows.data + row * rows.stride + column;
      Pack<T, kPack> pack;
#pragma unroll
      for (int e = 0; e < kPack; ++e) pack.data[e] = stored_as<T>(results[r][w + e] * factors[r]);
      if (packed) {
        if (column < width) store_pack(to, pack);
        continue;
      }
#pragma unroll
      for (int e = 0; e < kPack; ++e) {
        if (column + e < width) to[e] = pack.data[e];
      }
    }
  }
}

/// The score with its mask; -inf where the query does not see the key or one of both is padding.
__device__ __forceinline__ float masked(float score, const AttentionShape& shape, const float* mask, int query,
                                        int key) {
  const bool exists = query < static_cast<int>(shape.queries) && key < static_cast<int>(shape.keys);
  if (!exists || (shape.causal && key > query)) return -INFINITY;
  return mask == nullptr ? score : score + mask[query * shape.mask_strides[2] + key * shape.mask_strides[3]];
}

/// The mask of one head; null where there is none.
__device__ __forceinline__ const float* mask_of(const AttentionShape& shape, const HeadTile& at) {
  if (shape.mask == nullptr) return nullptr;
  return shape.mask + at.batch * shape.mask_strides[0] + at.head * shape.mask_strides[1];
}

namespace kernels {

template <typename Tiles, typename T>
__global__ void __launch_bounds__(kAttentionThreads)
    attention(T* o, float* lse, TokenRows<const T> q, TokenRows<const T> k, TokenRows<const T> v, AttentionShape shape,
              bool packed) {
  constexpr int kRows = Tiles::kRowsOfThread, kColumns = Tiles::kColumnsOfThread;
  DML_SHARED(float, queries);
  float* const others = queries + Tiles::kRowFloats;  // keys, then values
  float* const weights = others + Tiles::kColumnFloats;
  const std::int64_t tiles = (shape.queries + Tiles::kRows - 1) / Tiles::kRows;
  const HeadTile at = head_tile(tiles, shape.heads, shape.causal);
  const auto width = static_cast<int>(shape.width);
  const TokenRows<const T> q_head{head_of(q, shape.queries, at, width), q.stride};
  const TokenRows<const T> k_head{head_of(k, shape.keys, at, width), k.stride};
  const TokenRows<const T> v_head{head_of(v, shape.keys, at, width), v.stride};
  const float* const mask = mask_of(shape, at);
  const std::int64_t first = at.tile * Tiles::kRows;
  const int first_of_thread = static_cast<int>(first) + row_thread() * kRows;  // tokens are fewer than 2^31

  load_tile<Tiles::kRows, Tiles>(queries, q_head, first, shape.queries, width, packed, shape.scale);
  RowResults<Tiles> results = {};
  float maximum[kRows], sum[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    maximum[r] = -INFINITY;
    sum[r] = 0;
  }

  const auto seen = static_cast<int>(shape.causal ? min(shape.keys, first + Tiles::kRows) : shape.keys);
  for (int key = 0; key < seen; key += Tiles::kColumns) {
    load_tile<Tiles::kColumns, Tiles>(others, k_head, key, shape.keys, width, packed, 1.0f);
    __syncthreads();
    float scores[kRows][kColumns];
    multiply_rows<Tiles>(scores, queries, others);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      float greatest = maximum[r];
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        const int column = key + column_thread() + c * kColumnThreads;
        scores[r][c] = masked(scores[r][c], shape, mask, first_of_thread + r, column);
        greatest = fmaxf(greatest, scores[r][c]);
      }
      greatest = reduce_lanes<kColumnThreads>(Max{}, greatest);
      const float shift = finite_shift(greatest);
      const float shrink = expf(finite_shift(maximum[r]) - shift);
      maximum[r] = greatest;
      sum[r] *= shrink;  // of the thread's columns; put together at the end
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        const float weight = expf(scores[r][c] - shift);
        sum[r] += weight;
        weights[(row_thread() * kRows + r) * Tiles::kScoreStride + column_thread() + c * kColumnThreads] = weight;
      }
#pragma unroll
      for (int w = 0; w < Tiles::kWidthOfThread; ++w) results[r][w] *= shrink;
    }
    __syncthreads();
    // Not before: the scores' registers are free now.
    load_tile<Tiles::kColumns, Tiles>(others, v_head, key, shape.keys, width, packed, 1.0f);
    __syncthreads();
    add_weighted_rows<Tiles>(results, weights, others);
    __syncthreads();
  }

  float inverse[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const float total = reduce_lanes<kColumnThreads>(Sum{}, sum[r]);
    inverse[r] = total == 0.0f ? 0.0f : 1.0f / total;
    const int query = first_of_thread + r;
    if (column_thread() == 0 && query < shape.queries) {
      lse[(at.batch * shape.heads + at.head) * shape.queries + query] = maximum[r] + logf(total);
    }
  }
  const std::int64_t o_stride = shape.heads * shape.width;
  const TokenRows<T> o_head{head_of(TokenRows<T>{o, o_stride}, shape.queries, at, width), o_stride};
  store_results<Tiles>(o_head, first, shape.queries, width, packed, results, inverse);
}

/// delta [B, H, T] = Σ over D of dout · o, a warp for each.
template <typename T>
__global__ void __launch_bounds__(kAttentionThreads)
    attention_delta(float* delta, const T* dout, const T* o, AttentionShape shape) {
  const std::int64_t row = Team<kWarp>::row();  // of [B, T, H]
  if (row >= shape.batch * shape.queries * shape.heads) return;
  float sum = 0;
  for (std::int64_t d = Team<kWarp>::thread(); d < shape.width; d += kWarp) {
    sum += number_of(dout[row * shape.width + d]) * number_of(o[row * shape.width + d]);
  }
  sum = Team<kWarp>::sum(sum);
  if (Team<kWarp>::thread() != 0) return;
  const std::int64_t head = row % shape.heads;
  const std::int64_t query = row / shape.heads % shape.queries;
  const std::int64_t batch = row / shape.heads / shape.queries;
  delta[(batch * shape.heads + head) * shape.queries + query] = sum;
}

enum class Owned { keys, queries };

/// What is read in the backward pass; scores are q·k and their gradients dout·v.
template <typename T>
struct AttentionGradOperands {
  TokenRows<const T> q, k, v, dout;
  const float* lse;
  const float* delta;
};

/// Rows are what the block owns, columns the other side. d_first is dK or dQ, d_second dV.
template <Owned kOwned, typename Tiles, typename T>
__global__ void __launch_bounds__(kAttentionThreads, kGradBlocks)
    attention_grad(TokenRows<T> d_first, TokenRows<T> d_second, AttentionGradOperands<T> with, AttentionShape shape,
                   bool packed) {
  constexpr bool kOwnsKeys = kOwned == Owned::keys;
  constexpr int kRows = Tiles::kRowsOfThread, kColumns = Tiles::kColumnsOfThread;
  DML_SHARED(float, own_first);                                    // K or Q
  float* const own_second = own_first + Tiles::kRowFloats;         // V or dO
  float* const other_first = own_second + Tiles::kRowFloats;       // Q or K
  float* const other_second = other_first + Tiles::kColumnFloats;  // dO or V
  float* const d_scores = other_second + Tiles::kColumnFloats;
  float* const weights = d_scores + Tiles::kScoreFloats;  // for dV alone
  const std::int64_t rows = kOwnsKeys ? shape.keys : shape.queries;
  const std::int64_t columns = kOwnsKeys ? shape.queries : shape.keys;
  const HeadTile at = head_tile((rows + Tiles::kRows - 1) / Tiles::kRows, shape.heads, shape.causal && !kOwnsKeys);
  const auto width = static_cast<int>(shape.width);
  const TokenRows<const T> q{head_of(with.q, shape.queries, at, width), with.q.stride};
  const TokenRows<const T> k{head_of(with.k, shape.keys, at, width), with.k.stride};
  const TokenRows<const T> v{head_of(with.v, shape.keys, at, width), with.v.stride};
  const TokenRows<const T> dout{head_of(with.dout, shape.queries, at, width), with.dout.stride};
  const float* const mask = mask_of(shape, at);
  const std::int64_t statistics = (at.batch * shape.heads + at.head) * shape.queries;
  const std::int64_t first = at.tile * Tiles::kRows;

  // The scale of the scores stands with the queries.
  const float row_scale = kOwnsKeys ? 1.0f : shape.scale;
  const float column_scale = kOwnsKeys ? shape.scale : 1.0f;
  load_tile<Tiles::kRows, Tiles>(own_first, kOwnsKeys ? k : q, first, rows, width, packed, row_scale);
  load_tile<Tiles::kRows, Tiles>(own_second, kOwnsKeys ? v : dout, first, rows, width, packed, 1.0f);
  RowResults<Tiles> of_first = {};
  RowResults<Tiles> of_second = {};

  std::int64_t begin = 0;
  std::int64_t end = columns;
  if (shape.causal && kOwnsKeys) begin = first / Tiles::kColumns * Tiles::kColumns;
  if (shape.causal && !kOwnsKeys) end = min(columns, first + Tiles::kRows);
  for (std::int64_t column = begin; column < end; column += Tiles::kColumns) {
    load_tile<Tiles::kColumns, Tiles>(other_first, kOwnsKeys ? q : k, column, columns, width, packed, column_scale);
    load_tile<Tiles::kColumns, Tiles>(other_second, kOwnsKeys ? dout : v, column, columns, width, packed, 1.0f);
    __syncthreads();
    float scores[kRows][kColumns], d_weights[kRows][kColumns];
    multiply_rows<Tiles>(scores, own_first, other_first);
    multiply_rows<Tiles>(d_weights, own_second, other_second);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        const int row_of_tile = row_thread() * kRows + r;
        const int column_of_tile = column_thread() + c * kColumnThreads;
        const auto query = static_cast<int>(kOwnsKeys ? column + column_of_tile : first + row_of_tile);
        const auto key = static_cast<int>(kOwnsKeys ? first + row_of_tile : column + column_of_tile);
        const float score = masked(scores[r][c], shape, mask, query, key);
        const bool exists = query < shape.queries;
        const float lse = exists ? with.lse[statistics + query] : 0.0f;
        const float delta = exists ? with.delta[statistics + query] : 0.0f;
        const float weight = expf(score - finite_shift(lse));
        d_scores[row_of_tile * Tiles::kScoreStride + column_of_tile] = weight * (d_weights[r][c] - delta);
        if constexpr (kOwnsKeys) weights[row_of_tile * Tiles::kScoreStride + column_of_tile] = weight;
      }
    }
    __syncwarp();  // a row of these is written and read by one half of a warp
    add_weighted_rows<Tiles>(of_first, d_scores, other_first);
    if constexpr (kOwnsKeys) add_weighted_rows<Tiles>(of_second, weights, other_second);
    __syncthreads();
  }

  float factors[kRows];
#pragma unroll
  for (float& factor : factors) factor = kOwnsKeys ? 1.0f : shape.scale;
  const TokenRows<T> to_first{head_of(d_first, rows, at, width), d_first.stride};
  store_results<Tiles>(to_first, first, rows, width, packed, of_first, factors);
  if constexpr (kOwnsKeys) {
    const TokenRows<T> to_second{head_of(d_second, rows, at, width), d_second.stride};
    store_results<Tiles>(to_second, first, rows, width, packed, of_second, factors);
  }
}

}  // namespace kernels

namespace {

using kernels::Owned;

/// launch(Tiling) for the width of a head, of the forward or of the backward pass. Bytes of shared memory that these
/// take: 35 to 43 KB forward, 37 to 69 KB backward.
template <typename Launch>
void with_forward_tiles(std::int64_t width, const Launch& launch) {
  if (width <= 32) return launch(Tiling<32, 64, 64>{});
  if (width <= 64) return launch(Tiling<64, 64, 32>{});
  if (width <= 128) return launch(Tiling<128, 32, 32>{});
  launch(Tiling<256, 16, 16>{});
}
template <typename Launch>
void with_backward_tiles(std::int64_t width, const Launch& launch) {
  if (width <= 32) return launch(Tiling<32, 32, 32>{});
  if (width <= 64) return launch(Tiling<64, 32, 32>{});
  if (width <= 128) return launch(Tiling<128, 32, 16>{});
  launch(Tiling<256, 16, 16>{});
}

void check_width(const AttentionShape& shape) {
  constexpr std::int64_t kMaxWidth = 256;
  if (shape.width <= kMaxWidth) return;
  throw std::invalid_argument("[attention] heads of width " + std::to_string(shape.width) + "; CUDA takes up to " +
                              std::to_string(kMaxWidth));
}

/// Whether rows of a head can be read and written in packs of kQuad.
template <typename T>
bool are_quads(const AttentionShape& shape, const TokenRows<T>& rows) {
  return rows.stride % kQuad == 0 && are_packs<std::remove_const_t<T>>(shape.width, {rows.data}, kQuad);
}

/// More than a block gets unasked must be asked for, once for each kernel and device; again does no harm.
template <auto kernel>
void launch_with_shared(std::int64_t blocks, std::size_t bytes, const Queue& queue, const auto&... arguments) {
  constexpr std::size_t kUnasked = 48 * 1024;
  if (bytes > kUnasked) {
    DML_CUDA(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(bytes)));
  }
  launch<kernel>(static_cast<unsigned>(blocks), kAttentionThreads, bytes, queue, arguments...);
}

template <Owned kOwned, typename T>
void attention_grad_of(TokenRows<T> d_first, TokenRows<T> d_second, const kernels::AttentionGradOperands<T>& with,
                       const AttentionShape& shape, bool packed, const Queue& queue) {
  with_backward_tiles(shape.width, [&]<typename Tiles>(Tiles) {
    constexpr int kScores = kOwned == Owned::keys ? 2 : 1;
    constexpr std::size_t kFloats = 2 * Tiles::kRowFloats + 2 * Tiles::kColumnFloats + kScores * Tiles::kScoreFloats;
    const std::int64_t rows = kOwned == Owned::keys ? shape.keys : shape.queries;
    const std::int64_t blocks = shape.batch * shape.heads * blocks_of(rows, Tiles::kRows);
    launch_with_shared<kernels::attention_grad<kOwned, Tiles, T>>(blocks, kFloats * sizeof(float), queue, d_first,
                                                                  d_second, with, shape, packed);
  });
}

}  // namespace

template <typename T>
void attention(T* o, float* lse, TokenRows<const T> q, TokenRows<const T> k, TokenRows<const T> v,
               const AttentionShape& shape, const Queue& queue) {
  check_width(shape);
  const bool packed = are_quads(shape, q) && are_quads(shape, k) && are_quads(shape, v) &&
                      are_quads(shape, TokenRows<T>{o, shape.heads * shape.width});
  with_forward_tiles(shape.width, [&]<typename Tiles>(Tiles) {
    constexpr std::size_t kFloats = Tiles::kRowFloats + Tiles::kColumnFloats + Tiles::kScoreFloats;
    const std::int64_t blocks = shape.batch * shape.heads * blocks_of(shape.queries, Tiles::kRows);
    launch_with_shared<kernels::attention<Tiles, T>>(blocks, kFloats * sizeof(float), queue, o, lse, q, k, v, shape,
                                                     packed);
  });
}

template <typename T>
void attention_grad(TokenRows<T> dq, TokenRows<T> dk, TokenRows<T> dv, const T* dout, TokenRows<const T> q,
                    TokenRows<const T> k, TokenRows<const T> v, const T* o, const float* lse,
                    const AttentionShape& shape, const Queue& queue) {
  check_width(shape);
  const std::int64_t rows = shape.batch * shape.heads * shape.queries;
  float* const delta = workspace<float>(queue, rows);
  launch<kernels::attention_delta<T>>(blocks_of(rows, Team<kWarp>::kRows), kAttentionThreads, 0, queue, delta, dout, o,
                                      shape);
  const TokenRows<const T> dout_rows{dout, shape.heads * shape.width};
  const kernels::AttentionGradOperands<T> with{q, k, v, dout_rows, lse, delta};
  const bool packed = are_quads(shape, q) && are_quads(shape, k) && are_quads(shape, v) && are_quads(shape, dq) &&
                      are_quads(shape, dk) && are_quads(shape, dv) && are_quads(shape, dout_rows);
  attention_grad_of<Owned::keys>(dk, dv, with, shape, packed, queue);
  attention_grad_of<Owned::queries>(dq, TokenRows<T>{}, with, shape, packed, queue);
}

#define DML_INSTANTIATE(T)                                                                                            \
  template void attention(T*, float*, TokenRows<const T>, TokenRows<const T>, TokenRows<const T>,                     \
                          const AttentionShape&, const Queue&);                                                       \
  template void attention_grad(TokenRows<T>, TokenRows<T>, TokenRows<T>, const T*, TokenRows<const T>,                \
                               TokenRows<const T>, TokenRows<const T>, const T*, const float*, const AttentionShape&, \
                               const Queue&)
DML_INSTANTIATE(float);
DML_INSTANTIATE(bf16);
#undef DML_INSTANTIATE

}  // namespace dml::cuda
