// Compiled once per instruction set. A thread takes one head at a time, copies its keys and values into its scratch
// (transposed where a product wants them so, rows padded to whole vectors), and walks tiles of kQueries × key_tile
// scores. Per tile the forward pass does 2 products, the backward pass 5. The order of sums follows from the shape.
#include "kernels/attention.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/tile_product.h"
#include "kernels/cpu/vector_math.h"

namespace dml::cpu::DML_VARIANT {
namespace {

constexpr std::int64_t kQueries = 32;
constexpr std::int64_t kMaxKeys = 128;

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
constexpr std::int64_t whole_vectors(std::int64_t n) { return ceil_div(n, kLanes) * kLanes; }

/// Extents in the scratch, in floats.
struct Layout {
  std::int64_t width;       ///< D
  std::int64_t row;         ///< D in whole vectors
  std::int64_t key_tile;    ///< keys of a tile, whole vectors
  std::int64_t head_rows;   ///< [S, row]
  std::int64_t head_tiles;  ///< [tiles, D, key_tile]
  std::int64_t query_rows;  ///< [kQueries, row]
  std::int64_t scores;      ///< [kQueries, key_tile]

  explicit Layout(const AttentionShape& shape)
      : width(shape.width),
        row(whole_vectors(shape.width)),
        key_tile(shape.keys < kMaxKeys ? whole_vectors(shape.keys) : kMaxKeys),
        head_rows(shape.keys * row),
        head_tiles(ceil_div(shape.keys, key_tile < 1 ? 1 : key_tile) * shape.width * key_tile),
        query_rows(kQueries * row),
        scores(kQueries * key_tile) {}
};

/// One tile of scores: queries [query, query + rows) against keys [key, key + n), `padded` in whole vectors.
struct Tile {
  std::int64_t query, rows;
  std::int64_t key, n, padded;
};

/// First element of one head in the first row of one batch entry.
template <typename T>
T* head_of(TokenRows<T> rows, std::int64_t tokens, std::int64_t batch, std::int64_t head, std::int64_t width) {
  return rows.data + batch * tokens * rows.stride + head * width;
}

/// out [n, row] = in · factor, the padding 0.
void copy_rows(float* out, std::int64_t row, const float* in, std::int64_t stride, std::int64_t n, std::int64_t width,
               float factor) {
  for (std::int64_t i = 0; i < n; ++i) {
#pragma omp simd
    for (std::int64_t d = 0; d < width; ++d) out[i * row + d] = in[i * stride + d] * factor;
    for (std::int64_t d = width; d < row; ++d) out[i * row + d] = 0;
  }
}

void zero(float* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = 0;
}

typedef float Vec4 __attribute__((vector_size(16), aligned(4), may_alias));

/// out[c · out_step + r] = in[r · in_step + c] for r, c < 4.
DML_INLINE void transpose_4x4(float* out, std::int64_t out_step, const float* in, std::int64_t in_step) {
  Vec4 rows[4];
  for (int r = 0; r < 4; ++r) rows[r] = *reinterpret_cast<const Vec4*>(in + r * in_step);
  const Vec4 low01 = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
  const Vec4 high01 = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
  const Vec4 low23 = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
  const Vec4 high23 = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
  *reinterpret_cast<Vec4*>(out) = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
  *reinterpret_cast<Vec4*>(out + out_step) = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
  *reinterpret_cast<Vec4*>(out + 2 * out_step) = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
  *reinterpret_cast<Vec4*>(out + 3 * out_step) = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

/// out [width, key_tile] = the transpose of in [n, width], the padding 0.
void transpose_tile(float* out, std::int64_t key_tile, const float* in, std::int64_t stride, std::int64_t n,
                    std::int64_t width) {
  const std::int64_t whole_n = n / 4 * 4;
  const std::int64_t whole_width = width / 4 * 4;
  for (std::int64_t j = 0; j < whole_n; j += 4) {
    for (std::int64_t d = 0; d < whole_width; d += 4) {
      transpose_4x4(out + d * key_tile + j, key_tile, in + j * stride + d, stride);
    }
  }
  for (std::int64_t d = 0; d < width; ++d) {
    for (std::int64_t j = d < whole_width ? whole_n : 0; j < n; ++j) out[d * key_tile + j] = in[j * stride + d];
    for (std::int64_t j = n; j < key_tile; ++j) out[d * key_tile + j] = 0;
  }
}

/// out [tiles, D, key_tile]: each tile of keys transposed.
void transpose_tiles(float* out, const Layout& layout, const float* in, std::int64_t stride, std::int64_t keys) {
  for (std::int64_t first = 0; first < keys; first += layout.key_tile) {
    const std::int64_t n = keys - first < layout.key_tile ? keys - first : layout.key_tile;
    transpose_tile(out + first * layout.width, layout.key_tile, in + first * stride, stride, n, layout.width);
  }
}

/// The tile that begins at `key`; n is 0 where a causal mask hides all of it.
Tile tile_at(const AttentionShape& shape, const Layout& layout, std::int64_t query, std::int64_t rows,
             std::int64_t key) {
  std::int64_t n = shape.keys - key < layout.key_tile ? shape.keys - key : layout.key_tile;
  if (shape.causal && query + rows - key < n) n = query + rows - key;
  if (n < 0) n = 0;
  return {query, rows, key, n, whole_vectors(n)};
}

/// Adds the mask; what a query does not see, and the padding, becomes -inf.
void mask_scores(float* scores, const AttentionShape& shape, const Layout& layout, const Tile& tile, std::int64_t batch,
                 std::int64_t head) {
  for (std::int64_t i = 0; i < tile.rows; ++i) {
    float* s = scores + i * layout.key_tile;
    const std::int64_t query = tile.query + i;
    if (shape.mask != nullptr) {
      const auto& strides = shape.mask_strides;
      const float* m = shape.mask + batch * strides[0] + head * strides[1] + query * strides[2] + tile.key * strides[3];
      if (strides[3] == 1) {
#pragma omp simd
        for (std::int64_t j = 0; j < tile.n; ++j) s[j] += m[j];
      } else {
        for (std::int64_t j = 0; j < tile.n; ++j) s[j] += *m;
      }
    }
    std::int64_t seen = tile.n;
    if (shape.causal && query + 1 - tile.key < seen) seen = query + 1 - tile.key;
    for (std::int64_t j = seen < 0 ? 0 : seen; j < tile.padded; ++j) s[j] = -__builtin_inff();
  }
}

float max_of_row(const float* s, std::int64_t padded) {
  Vec lanes = load(s);
  for (std::int64_t j = kLanes; j < padded; j += kLanes) lanes = max(load(s + j), lanes);
  return max_lanes(lanes);
}

/// s = exp(s - shift); returns the sum.
float exp_row(float* s, std::int64_t padded, float shift) {
  Vec sum = splat(0.0f);
  for (std::int64_t j = 0; j < padded; j += kLanes) {
    float lanes[DML_LANES];
#pragma omp simd
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] = exp(s[j + lane] - shift);
    store(s + j, load(lanes));
    sum += load(lanes);
  }
  return sum_lanes(sum);
}

/// -inf as a shift would make NaN of -inf scores; their exponentials are 0 with any finite one.
float finite_shift(float shift) { return shift == -__builtin_inff() ? 0.0f : shift; }

/// What the online softmax keeps of each query of a tile.
struct RowState {
  float maximum[kQueries];
  float sum[kQueries];

  RowState() {
    for (float& m : maximum) m = -__builtin_inff();
    zero(sum, kQueries);
  }
};

/// Turns scores into exponentials relative to the running maximum, and scales what was summed before to it.
void update_rows(float* scores, float* o, RowState& state, const Layout& layout, const Tile& tile) {
  for (std::int64_t i = 0; i < tile.rows; ++i) {
    float* s = scores + i * layout.key_tile;
    const float before = state.maximum[i];
    const float in_tile = max_of_row(s, tile.padded);
    const float maximum = in_tile > before ? in_tile : before;
    const float shift = finite_shift(maximum);
    const float sum = exp_row(s, tile.padded, shift);
    state.maximum[i] = maximum;
    if (tile.key == 0) {  // nothing was summed yet
      state.sum[i] = sum;
      continue;
    }
    const float shrink = exp(finite_shift(before) - shift);
    state.sum[i] = state.sum[i] * shrink + sum;
    for (std::int64_t d = 0; d < layout.row; d += kLanes) {
      store(o + i * layout.row + d, load(o + i * layout.row + d) * shrink);
    }
  }
}

struct Head {
  std::int64_t batch, head;
};

/// Queries [first, last) of one head.
void forward_head(float* o, float* lse, TokenRows<const float> q, TokenRows<const float> k, TokenRows<const float> v,
                  const AttentionShape& shape, Head at, std::int64_t first, std::int64_t last) {
  const Layout layout(shape);
  float* keys = thread_scratch(layout.head_tiles + layout.head_rows + 2 * layout.query_rows + layout.scores);
  float* values = keys + layout.head_tiles;
  float* queries = values + layout.head_rows;
  float* sums = queries + layout.query_rows;
  float* scores = sums + layout.query_rows;
  const std::int64_t o_stride = shape.heads * shape.width;
  const float* q_head = head_of(q, shape.queries, at.batch, at.head, shape.width);
  const TokenRows<float> o_rows{o, o_stride};
  float* o_head = head_of(o_rows, shape.queries, at.batch, at.head, shape.width);
  float* lse_head = lse + (at.batch * shape.heads + at.head) * shape.queries;
  transpose_tiles(keys, layout, head_of(k, shape.keys, at.batch, at.head, shape.width), k.stride, shape.keys);
  copy_rows(values, layout.row, head_of(v, shape.keys, at.batch, at.head, shape.width), v.stride, shape.keys,
            shape.width, 1.0f);

  for (std::int64_t query = first; query < last; query += kQueries) {
    const std::int64_t rows = last - query < kQueries ? last - query : kQueries;
    RowState state;
    zero(sums, rows * layout.row);
    copy_rows(queries, layout.width, q_head + query * q.stride, q.stride, rows, shape.width, shape.scale);
    for (std::int64_t key = 0; key < shape.keys; key += layout.key_tile) {
      const Tile tile = tile_at(shape, layout, query, rows, key);
      if (tile.n == 0) break;
      tile_product(scores, layout.key_tile, {queries, layout.width, 1}, {keys + key * layout.width, layout.key_tile},
                   rows, tile.padded, layout.width, false);
      mask_scores(scores, shape, layout, tile, at.batch, at.head);
      update_rows(scores, sums, state, layout, tile);
      tile_product(sums, layout.row, {scores, layout.key_tile, 1}, {values + key * layout.row, layout.row}, rows,
                   layout.row, tile.n, true);
    }
    for (std::int64_t i = 0; i < rows; ++i) {
      const float inverse = state.sum[i] == 0.0f ? 0.0f : 1.0f / state.sum[i];
      copy_rows(o_head + (query + i) * o_stride, shape.width, sums + i * layout.row, layout.row, 1, shape.width,
                inverse);
      lse_head[query + i] = state.maximum[i] + log(state.sum[i]);
    }
  }
}

/// delta[i] = Σ over D of do · o.
void row_dots(float* delta, const float* a, const float* b, std::int64_t stride, std::int64_t rows,
              std::int64_t width) {
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* u = a + i * stride;
    const float* w = b + i * stride;
    Vec sum = splat(0.0f);
    std::int64_t d = 0;
    for (; d + kLanes <= width; d += kLanes) sum += load(u + d) * load(w + d);
    if (d < width) sum += load_first(u + d, width - d, 0.0f) * load_first(w + d, width - d, 0.0f);
    delta[i] = sum_lanes(sum);
  }
}

/// d_scores = p · (d_scores - delta), in whole vectors.
void softmax_grad_rows(float* d_scores, const float* p, const float* delta, const Layout& layout, const Tile& tile) {
  for (std::int64_t i = 0; i < tile.rows; ++i) {
    const std::int64_t at = i * layout.key_tile;
    const Vec shift = splat(delta[i]);
    for (std::int64_t j = 0; j < tile.padded; j += kLanes) {
      store(d_scores + at + j, load(p + at + j) * (load(d_scores + at + j) - shift));
    }
  }
}

/// The scratch of a head's backward pass.
struct BackwardScratch {
  float *keys, *values_t, *keys_t, *dk, *dv;  // of the head
  float *queries, *dout, *dq, *p, *d_scores;  // of a tile

  explicit BackwardScratch(const Layout& layout) {
    float* next =
        thread_scratch(3 * layout.head_rows + 2 * layout.head_tiles + 3 * layout.query_rows + 2 * layout.scores);
    const auto take = [&next](std::int64_t floats) {
      float* const taken = next;
      next += floats;
      return taken;
    };
    keys_t = take(layout.head_tiles);
    values_t = take(layout.head_tiles);
    keys = take(layout.head_rows);
    dk = take(layout.head_rows);
    dv = take(layout.head_rows);
    queries = take(layout.query_rows);
    dout = take(layout.query_rows);
    dq = take(layout.query_rows);
    p = take(layout.scores);
    d_scores = take(layout.scores);
  }
};

/// Adds one tile's part to dq, dk and dv.
void backward_tile(const BackwardScratch& scratch, const AttentionShape& shape, const Layout& layout, const Tile& tile,
                   Head at, const float* lse, const float* delta) {
  const std::int64_t key_tile = layout.key_tile;
  const std::int64_t tile_at_key = tile.key * layout.width;
  tile_product(scratch.p, key_tile, {scratch.queries, layout.row, 1}, {scratch.keys_t + tile_at_key, key_tile},
               tile.rows, tile.padded, layout.width, false);
  mask_scores(scratch.p, shape, layout, tile, at.batch, at.head);
  for (std::int64_t i = 0; i < tile.rows; ++i) {
    exp_row(scratch.p + i * key_tile, tile.padded, finite_shift(lse[tile.query + i]));
  }
  tile_product(scratch.d_scores, key_tile, {scratch.dout, layout.row, 1}, {scratch.values_t + tile_at_key, key_tile},
               tile.rows, tile.padded, layout.width, false);
  softmax_grad_rows(scratch.d_scores, scratch.p, delta, layout, tile);
  tile_product(scratch.dv + tile.key * layout.row, layout.row, {scratch.p, 1, key_tile}, {scratch.dout, layout.row},
               tile.n, layout.row, tile.rows, true);
  tile_product(scratch.dk + tile.key * layout.row, layout.row, {scratch.d_scores, 1, key_tile},
               {scratch.queries, layout.row}, tile.n, layout.row, tile.rows, true);
  tile_product(scratch.dq, layout.row, {scratch.d_scores, key_tile, 1},
               {scratch.keys + tile.key * layout.row, layout.row}, tile.rows, layout.row, tile.n, true);
}

/// Writes D of each padded row.
void write_rows(float* out, std::int64_t stride, const float* in, std::int64_t row, std::int64_t n, std::int64_t width,
                float factor) {
  for (std::int64_t i = 0; i < n; ++i) copy_rows(out + i * stride, width, in + i * row, row, 1, width, factor);
}

struct BackwardOperands {
  TokenRows<float> dq, dk, dv;
  const float* dout;
  TokenRows<const float> q, k, v;
  const float* o;
  const float* lse;
};

void backward_head(const BackwardOperands& with, const AttentionShape& shape, Head at) {
  const Layout layout(shape);
  const BackwardScratch scratch(layout);
  const auto head = [&](const auto& rows, std::int64_t tokens) {
    return head_of(rows, tokens, at.batch, at.head, shape.width);
  };
  const std::int64_t o_stride = shape.heads * shape.width;
  const float* k = head(with.k, shape.keys);
  const float* q = head(with.q, shape.queries);
  const float* dout = head(TokenRows<const float>{with.dout, o_stride}, shape.queries);
  const float* o = head(TokenRows<const float>{with.o, o_stride}, shape.queries);
  float* dq = head(with.dq, shape.queries);
  const float* lse = with.lse + (at.batch * shape.heads + at.head) * shape.queries;
  transpose_tiles(scratch.keys_t, layout, k, with.k.stride, shape.keys);
  transpose_tiles(scratch.values_t, layout, head(with.v, shape.keys), with.v.stride, shape.keys);
  copy_rows(scratch.keys, layout.row, k, with.k.stride, shape.keys, shape.width, 1.0f);
  zero(scratch.dk, layout.head_rows);
  zero(scratch.dv, layout.head_rows);

  for (std::int64_t query = 0; query < shape.queries; query += kQueries) {
    const std::int64_t rows = shape.queries - query < kQueries ? shape.queries - query : kQueries;
    float delta[kQueries];
    copy_rows(scratch.queries, layout.row, q + query * with.q.stride, with.q.stride, rows, shape.width, shape.scale);
    copy_rows(scratch.dout, layout.row, dout + query * o_stride, o_stride, rows, shape.width, 1.0f);
    row_dots(delta, dout + query * o_stride, o + query * o_stride, o_stride, rows, shape.width);
    zero(scratch.dq, rows * layout.row);
    for (std::int64_t key = 0; key < shape.keys; key += layout.key_tile) {
      const Tile tile = tile_at(shape, layout, query, rows, key);
      if (tile.n == 0) break;
      backward_tile(scratch, shape, layout, tile, at, lse, delta);
    }
    write_rows(dq + query * with.dq.stride, with.dq.stride, scratch.dq, layout.row, rows, shape.width, shape.scale);
  }
  write_rows(head(with.dk, shape.keys), with.dk.stride, scratch.dk, layout.row, shape.keys, shape.width, 1.0f);
  write_rows(head(with.dv, shape.keys), with.dv.stride, scratch.dv, layout.row, shape.keys, shape.width, 1.0f);
}

}  // namespace

void attention(float* o, float* lse, TokenRows<const float> q, TokenRows<const float> k, TokenRows<const float> v,
               const AttentionShape& shape) {
  const std::int64_t heads = shape.batch * shape.heads;
  const std::int64_t query_tiles = ceil_div(shape.queries, kQueries);
  // Few heads are cut into ranges of queries, at the price of copying the keys again.
  const std::int64_t wanted = heads > 0 ? ceil_div(8, heads) : 1;
  const std::int64_t parts = wanted < query_tiles ? wanted : query_tiles;
  parallel_for(heads * parts, shape.queries * shape.keys, [&](std::int64_t item) {
    const std::int64_t part = item % parts;
    const std::int64_t head = item / parts;
    const std::int64_t end = query_tiles * (part + 1) / parts * kQueries;
    forward_head(o, lse, q, k, v, shape, {head / shape.heads, head % shape.heads},
                 query_tiles * part / parts * kQueries, end < shape.queries ? end : shape.queries);
  });
}

void attention_grad(TokenRows<float> dq, TokenRows<float> dk, TokenRows<float> dv, const float* dout,
                    TokenRows<const float> q, TokenRows<const float> k, TokenRows<const float> v, const float* o,
                    const float* lse, const AttentionShape& shape) {
  const BackwardOperands with{dq, dk, dv, dout, q, k, v, o, lse};
  parallel_for(shape.batch * shape.heads, shape.queries * shape.keys, [&](std::int64_t head) {
    backward_head(with, shape, {head / shape.heads, head % shape.heads});
  });
}

}  // namespace dml::cpu::DML_VARIANT

DML_DISPATCH(void, attention,
             (float* o, float* lse, TokenRows<const float> q, TokenRows<const float> k, TokenRows<const float> v,
              const AttentionShape& shape),
             (o, lse, q, k, v, shape));
DML_DISPATCH(void, attention_grad,
             (TokenRows<float> dq, TokenRows<float> dk, TokenRows<float> dv, const float* dout,
              TokenRows<const float> q, TokenRows<const float> k, TokenRows<const float> v, const float* o,
              const float* lse, const AttentionShape& shape),
             (dq, dk, dv, dout, q, k, v, o, lse, shape));
