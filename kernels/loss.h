// Losses of one microbatch and their gradients. Each loss is this microbatch's part of the global one: a sum times
// loss_scale (StepState), accumulated in double. Rows with label -100 are not counted.
#pragma once

#include <cstdint>

#include "kernels/step_state.h"

namespace dml {

inline constexpr std::int64_t kIgnoredLabel = -100;

/// Throws std::invalid_argument with row and value where a label is neither in [0, classes) nor -100.
void check_labels(const std::int64_t* labels, std::int64_t rows, std::int64_t classes);

}  // namespace dml

namespace dml::cpu {

// Of logits [rows, classes] and labels [rows]; labels must have passed check_labels.

/// loss (one element) = loss_scale · Σ over counted rows of (lse - logit of the label); lse [rows] = log Σ exp(logits).
void cross_entropy(float* loss, float* lse, const float* logits, const std::int64_t* labels, std::int64_t rows,
                   std::int64_t classes, float loss_scale);
/// Of the slice [offset, offset + classes) of all classes: stats [rows, 3] = maximum, Σ exp(x - maximum), logit of the
/// label or 0 where the slice does not hold it.
void cross_entropy_stats(float* stats, const float* logits, const std::int64_t* labels, std::int64_t rows,
                         std::int64_t classes, std::int64_t offset);
/// The loss and lse of stats [slices, rows, 3], put together in the order of the slices.
void cross_entropy_merge(float* loss, float* lse, const float* stats, const std::int64_t* labels, std::int64_t slices,
                         std::int64_t rows, float loss_scale);
/// dlogits = loss_scale · (exp(logits - lse) - onehot), 0 in rows that are not counted; of the slice of classes that
/// begins at offset. dlogits may be logits.
void cross_entropy_grad(float* dlogits, const float* logits, const std::int64_t* labels, const float* lse,
                        std::int64_t rows, std::int64_t classes, std::int64_t offset, float loss_scale);

/// loss (one element) = loss_scale · Σ (x - target)².
void mean_squared_error(float* loss, const float* x, const float* target, std::int64_t n, float loss_scale);
/// dx = 2 · loss_scale · (x - target). dx may be x.
void mean_squared_error_grad(float* dx, const float* x, const float* target, std::int64_t n, float loss_scale);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

// T is float or bf16; losses and statistics are float. `state` is device memory, read when the kernel runs. A label
// that is neither a class nor -100 is noted in the queue's fault record and not counted.

template <typename T>
void cross_entropy(float* loss, float* lse, const T* logits, const std::int64_t* labels, std::int64_t rows,
                   std::int64_t classes, const StepState* state, const Queue& queue);
/// `whole` counts all classes, of which this is the slice that begins at offset.
template <typename T>
void cross_entropy_stats(float* stats, const T* logits, const std::int64_t* labels, std::int64_t rows,
                         std::int64_t classes, std::int64_t offset, std::int64_t whole, const Queue& queue);
void cross_entropy_merge(float* loss, float* lse, const float* stats, const std::int64_t* labels, std::int64_t slices,
                         std::int64_t rows, const StepState* state, const Queue& queue);
template <typename T>
void cross_entropy_grad(T* dlogits, const T* logits, const std::int64_t* labels, const float* lse, std::int64_t rows,
                        std::int64_t classes, std::int64_t offset, const StepState* state, const Queue& queue);

template <typename T>
void mean_squared_error(float* loss, const T* x, const T* target, std::int64_t n, const StepState* state,
                        const Queue& queue);
template <typename T>
void mean_squared_error_grad(T* dx, const T* x, const T* target, std::int64_t n, const StepState* state,
                             const Queue& queue);

/// loss (one element) = loss_scale · x, of a loss that the graph itself computed as a mean.
template <typename T>
void weighted_loss(float* loss, const T* x, const StepState* state, const Queue& queue);
/// dx (one element) = loss_scale.
template <typename T>
void weighted_loss_grad(T* dx, const StepState* state, const Queue& queue);

}  // namespace dml::cuda
