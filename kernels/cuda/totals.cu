// Both run once a step on little data: one thread, one block.
#include "kernels/cuda/launch.cuh"
#include "kernels/totals.h"

namespace dml::cuda {
namespace totals {

constexpr int kThreads = 256;

__global__ void add_scalar(double* sum, const float* addend) { *sum += static_cast<double>(*addend); }

/// One block; each thread goes through rows of its own.
__global__ void __launch_bounds__(kThreads)
    count_correct(double* count, const float* logits, const std::int64_t* labels, std::int64_t rows,
                  std::int64_t classes) {
  __shared__ int found[kThreads];
  int mine = 0;
  for (std::int64_t row = threadIdx.x; row < rows; row += kThreads) {
    const float* of_row = logits + row * classes;
    std::int64_t largest = 0;
    for (std::int64_t i = 1; i < classes; ++i) {
      if (of_row[i] > of_row[largest]) largest = i;
    }
    mine += largest == labels[row] ? 1 : 0;
  }
  found[threadIdx.x] = mine;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < half) found[threadIdx.x] += found[threadIdx.x + half];
  }
  if (threadIdx.x == 0) *count += found[0];
}

}  // namespace totals

void add_scalar(double* sum, const float* addend, const Queue& queue) {
  launch<totals::add_scalar>(1, 1, 0, queue, sum, addend);
}

void count_correct(double* count, const float* logits, const std::int64_t* labels, std::int64_t rows,
                   std::int64_t classes, const Queue& queue) {
  launch<totals::count_correct>(1, totals::kThreads, 0, queue, count, logits, labels, rows, classes);
}

}  // namespace dml::cuda
