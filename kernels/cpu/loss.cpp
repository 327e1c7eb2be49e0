// Compiled once per instruction set. Rows are summed in fixed blocks, in double.
#include "kernels/loss.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sums.h"
#include "kernels/cpu/vector_math.h"

namespace dml::cpu::DML_VARIANT {
namespace {

constexpr std::int64_t kRowsPerBlock = 16;

double sum_exp(const float* x, std::int64_t n, float maximum) {
  return sum_terms(n, [&](std::int64_t i) { return exp(x[i] - maximum); });
}

}  // namespace

void cross_entropy(float* loss, float* lse, const float* logits, const std::int64_t* labels, std::int64_t rows,
                   std::int64_t classes, float loss_scale) {
  const double sum = sum_blocks(rows, kRowsPerBlock, 4 * classes, [&](std::int64_t begin, std::int64_t end) {
    double total = 0;
    for (std::int64_t row = begin; row < end; ++row) {
      const float* x = logits + row * classes;
      const float maximum = max_of(x, classes);
      const double log_sum = static_cast<double>(maximum) + __builtin_log(sum_exp(x, classes, maximum));
      lse[row] = static_cast<float>(log_sum);
      if (labels[row] != kIgnoredLabel) total += log_sum - static_cast<double>(x[labels[row]]);
    }
    return total;
  });
  *loss = static_cast<float>(static_cast<double>(loss_scale) * sum);
}

void cross_entropy_stats(float* stats, const float* logits, const std::int64_t* labels, std::int64_t rows,
                         std::int64_t classes, std::int64_t offset) {
  parallel_for(rows, 4 * classes, [&](std::int64_t row) {
    const float* x = logits + row * classes;
    const std::int64_t label = labels[row] - offset;
    const float maximum = max_of(x, classes);
    stats[row * 3] = maximum;
    stats[row * 3 + 1] = static_cast<float>(sum_exp(x, classes, maximum));
    stats[row * 3 + 2] = label >= 0 && label < classes ? x[label] : 0.0f;
  });
}

void cross_entropy_merge(float* loss, float* lse, const float* stats, const std::int64_t* labels, std::int64_t slices,
                         std::int64_t rows, float loss_scale) {
  const double sum = sum_blocks(rows, kRowsPerBlock, 32 * slices, [&](std::int64_t begin, std::int64_t end) {
    double total = 0;
    for (std::int64_t row = begin; row < end; ++row) {
      const auto stat = [&](std::int64_t slice, std::int64_t which) { return stats[(slice * rows + row) * 3 + which]; };
      float maximum = stat(0, 0);
      for (std::int64_t s = 1; s < slices; ++s) maximum = stat(s, 0) > maximum ? stat(s, 0) : maximum;
      double exps = 0;
      double logit = 0;
      for (std::int64_t s = 0; s < slices; ++s) {
        const double shift = static_cast<double>(stat(s, 0)) - static_cast<double>(maximum);
        exps += static_cast<double>(stat(s, 1)) * __builtin_exp(shift);
        logit += static_cast<double>(stat(s, 2));
      }
      const double log_sum = static_cast<double>(maximum) + __builtin_log(exps);
      lse[row] = static_cast<float>(log_sum);
      if (labels[row] != kIgnoredLabel) total += log_sum - logit;
    }
    return total;
  });
  *loss = static_cast<float>(static_cast<double>(loss_scale) * sum);
}

void cross_entropy_grad(float* dlogits, const float* logits, const std::int64_t* labels, const float* lse,
                        std::int64_t rows, std::int64_t classes, std::int64_t offset, float loss_scale) {
  parallel_for(rows, 4 * classes, [&](std::int64_t row) {
    const float* x = logits + row * classes;
    float* d = dlogits + row * classes;
    if (labels[row] == kIgnoredLabel) {
      for (std::int64_t i = 0; i < classes; ++i) d[i] = 0;
      return;
    }
    const float shift = lse[row];
    const std::int64_t label = labels[row] - offset;
    const bool holds_label = label >= 0 && label < classes;
    const float at_label = holds_label ? loss_scale * (exp(x[label] - shift) - 1.0f) : 0.0f;
#pragma omp simd
    for (std::int64_t i = 0; i < classes; ++i) d[i] = loss_scale * exp(x[i] - shift);
    if (holds_label) d[label] = at_label;
  });
}

void mean_squared_error(float* loss, const float* x, const float* target, std::int64_t n, float loss_scale) {
  const double sum = sum_blocks(n, kChunkElems, 1, [&](std::int64_t begin, std::int64_t end) {
    return sum_terms(end - begin, [&](std::int64_t i) {
      const float difference = x[begin + i] - target[begin + i];
      return difference * difference;
    });
  });
  *loss = static_cast<float>(static_cast<double>(loss_scale) * sum);
}

void mean_squared_error_grad(float* dx, const float* x, const float* target, std::int64_t n, float loss_scale) {
  const float factor = 2.0f * loss_scale;
  parallel_chunks(n, 1, [&](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) dx[i] = factor * (x[i] - target[i]);
  });
}

}  // namespace dml::cpu::DML_VARIANT

DML_DISPATCH(void, cross_entropy,
             (float* loss, float* lse, const float* logits, const std::int64_t* labels, std::int64_t rows,
              std::int64_t classes, float loss_scale),
             (loss, lse, logits, labels, rows, classes, loss_scale));
DML_DISPATCH(void, cross_entropy_stats,
             (float* stats, const float* logits, const std::int64_t* labels, std::int64_t rows, std::int64_t classes,
              std::int64_t offset),
             (stats, logits, labels, rows, classes, offset));
DML_DISPATCH(void, cross_entropy_merge,
             (float* loss, float* lse, const float* stats, const std::int64_t* labels, std::int64_t slices,
              std::int64_t rows, float loss_scale),
             (loss, lse, stats, labels, slices, rows, loss_scale));
DML_DISPATCH(void, cross_entropy_grad,
             (float* dlogits, const float* logits, const std::int64_t* labels, const float* lse, std::int64_t rows,
              std::int64_t classes, std::int64_t offset, float loss_scale),
             (dlogits, logits, labels, lse, rows, classes, offset, loss_scale));
DML_DISPATCH(void, mean_squared_error,
             (float* loss, const float* x, const float* target, std::int64_t n, float loss_scale),
             (loss, x, target, n, loss_scale));
DML_DISPATCH(void, mean_squared_error_grad,
             (float* dx, const float* x, const float* target, std::int64_t n, float loss_scale),
             (dx, x, target, n, loss_scale));
