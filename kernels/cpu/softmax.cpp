// Compiled once per instruction set. With inner = 1 a row is one vector loop; otherwise neighbouring inner positions
// are the lanes and n is walked once for all of them.
#include "kernels/softmax.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sums.h"
#include "kernels/cpu/vector_math.h"

namespace dml::cpu::DML_VARIANT {
namespace {

constexpr std::int64_t kColumns = 64;

/// body(first element, columns) for each outer index and tile of inner positions.
template <typename Body>
void for_each_tile(std::int64_t outer, std::int64_t n, std::int64_t inner, const Body& body) {
  const std::int64_t tiles = (inner + kColumns - 1) / kColumns;
  parallel_for(outer * tiles, 4 * n * (inner < kColumns ? inner : kColumns), [&](std::int64_t item) {
    const std::int64_t column = item % tiles * kColumns;
    body(item / tiles * n * inner + column, inner - column < kColumns ? inner - column : kColumns);
  });
}

/// Maximum and Σ exp(x - maximum) of each column of a tile.
void column_statistics(float* maximum, float* sum, const float* x, std::int64_t n, std::int64_t inner,
                       std::int64_t columns) {
  for (std::int64_t c = 0; c < columns; ++c) maximum[c] = -__builtin_inff();
  for (std::int64_t i = 0; i < n; ++i) {
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) {
      const float value = x[i * inner + c];
      maximum[c] = value > maximum[c] ? value : maximum[c];
    }
  }
  for (std::int64_t c = 0; c < columns; ++c) sum[c] = 0;
  for (std::int64_t i = 0; i < n; ++i) {
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) sum[c] += exp(x[i * inner + c] - maximum[c]);
  }
}

void softmax_row(float* y, const float* x, std::int64_t n) {
  const float maximum = max_of(x, n);
  const double sum = sum_terms(n, [&](std::int64_t i) { return y[i] = exp(x[i] - maximum); });
  const float inverse = static_cast<float>(1.0 / sum);
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i] *= inverse;
}

void log_softmax_row(float* y, const float* x, std::int64_t n) {
  const float maximum = max_of(x, n);
  const double sum = sum_terms(n, [&](std::int64_t i) { return exp(x[i] - maximum); });
  const float log_sum = static_cast<float>(__builtin_log(sum));
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] - maximum - log_sum;
}

void softmax_tile(float* y, const float* x, std::int64_t n, std::int64_t inner, std::int64_t columns) {
  float maximum[kColumns], sum[kColumns];
  column_statistics(maximum, sum, x, n, inner, columns);
  for (std::int64_t c = 0; c < columns; ++c) sum[c] = 1.0f / sum[c];
  for (std::int64_t i = 0; i < n; ++i) {
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) y[i * inner + c] = exp(x[i * inner + c] - maximum[c]) * sum[c];
  }
}

void log_softmax_tile(float* y, const float* x, std::int64_t n, std::int64_t inner, std::int64_t columns) {
  float maximum[kColumns], sum[kColumns];
  column_statistics(maximum, sum, x, n, inner, columns);
  for (std::int64_t c = 0; c < columns; ++c) sum[c] = log(sum[c]);
  for (std::int64_t i = 0; i < n; ++i) {
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) y[i * inner + c] = x[i * inner + c] - maximum[c] - sum[c];
  }
}

/// sum[c] = Σ over n of term(element).
template <typename Term>
void sum_tile(float* sum, std::int64_t n, std::int64_t inner, std::int64_t columns, const Term& term) {
  for (std::int64_t c = 0; c < columns; ++c) sum[c] = 0;
  for (std::int64_t i = 0; i < n; ++i) {
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) sum[c] += term(i * inner + c);
  }
}

}  // namespace

void softmax(float* y, const float* x, std::int64_t outer, std::int64_t n, std::int64_t inner) {
  if (inner == 1) {
    parallel_for(outer, 4 * n, [&](std::int64_t row) { softmax_row(y + row * n, x + row * n, n); });
    return;
  }
  for_each_tile(outer, n, inner,
                [&](std::int64_t at, std::int64_t columns) { softmax_tile(y + at, x + at, n, inner, columns); });
}

void log_softmax(float* y, const float* x, std::int64_t outer, std::int64_t n, std::int64_t inner) {
  if (inner == 1) {
    parallel_for(outer, 4 * n, [&](std::int64_t row) { log_softmax_row(y + row * n, x + row * n, n); });
    return;
  }
  for_each_tile(outer, n, inner,
                [&](std::int64_t at, std::int64_t columns) { log_softmax_tile(y + at, x + at, n, inner, columns); });
}

void softmax_grad(float* dx, const float* dy, const float* y, std::int64_t outer, std::int64_t n, std::int64_t inner) {
  if (inner == 1) {
    parallel_for(outer, 2 * n, [&](std::int64_t row) {
      const std::int64_t at = row * n;
      const float dot = static_cast<float>(sum_terms(n, [&](std::int64_t i) { return dy[at + i] * y[at + i]; }));
#pragma omp simd
      for (std::int64_t i = at; i < at + n; ++i) dx[i] = y[i] * (dy[i] - dot);
    });
    return;
  }
  for_each_tile(outer, n, inner, [&](std::int64_t at, std::int64_t columns) {
    float dot[kColumns];
    sum_tile(dot, n, inner, columns, [&](std::int64_t i) { return dy[at + i] * y[at + i]; });
    for (std::int64_t i = at; i < at + n * inner; i += inner) {
#pragma omp simd
      for (std::int64_t c = 0; c < columns; ++c) dx[i + c] = y[i + c] * (dy[i + c] - dot[c]);
    }
  });
}

void log_softmax_grad(float* dx, const float* dy, const float* y, std::int64_t outer, std::int64_t n,
                      std::int64_t inner) {
  if (inner == 1) {
    parallel_for(outer, 4 * n, [&](std::int64_t row) {
      const std::int64_t at = row * n;
      const float sum = static_cast<float>(sum_terms(n, [&](std::int64_t i) { return dy[at + i]; }));
#pragma omp simd
      for (std::int64_t i = at; i < at + n; ++i) dx[i] = dy[i] - exp(y[i]) * sum;
    });
    return;
  }
  for_each_tile(outer, n, inner, [&](std::int64_t at, std::int64_t columns) {
    float sum[kColumns];
    sum_tile(sum, n, inner, columns, [&](std::int64_t i) { return dy[at + i]; });
    for (std::int64_t i = at; i < at + n * inner; i += inner) {
#pragma omp simd
      for (std::int64_t c = 0; c < columns; ++c) dx[i + c] = dy[i + c] - exp(y[i + c]) * sum[c];
    }
  });
}

}  // namespace dml::cpu::DML_VARIANT

DML_DISPATCH(void, softmax, (float* y, const float* x, std::int64_t outer, std::int64_t n, std::int64_t inner),
             (y, x, outer, n, inner));
DML_DISPATCH(void, log_softmax, (float* y, const float* x, std::int64_t outer, std::int64_t n, std::int64_t inner),
             (y, x, outer, n, inner));
DML_DISPATCH(void, softmax_grad,
             (float* dx, const float* dy, const float* y, std::int64_t outer, std::int64_t n, std::int64_t inner),
             (dx, dy, y, outer, n, inner));
DML_DISPATCH(void, log_softmax_grad,
             (float* dx, const float* dy, const float* y, std::int64_t outer, std::int64_t n, std::int64_t inner),
             (dx, dy, y, outer, n, inner));
