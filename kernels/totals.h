// What a step adds up for its report: the loss and the samples whose class was found.
#pragma once

#include <cstdint>

namespace dml::cpu {

/// sum += *addend.
void add_scalar(double* sum, const float* addend);
/// count += rows of logits [rows, classes] whose largest entry (the first of several) is that of `labels` [rows].
void count_correct(double* count, const float* logits, const std::int64_t* labels, std::int64_t rows,
                   std::int64_t classes);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

// The same on a queue; all in device memory.
void add_scalar(double* sum, const float* addend, const Queue& queue);
void count_correct(double* count, const float* logits, const std::int64_t* labels, std::int64_t rows,
                   std::int64_t classes, const Queue& queue);

}  // namespace dml::cuda
