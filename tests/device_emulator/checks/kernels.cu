#include "tests/device_emulator/checks/kernels.h"

#include "kernels/cuda/launch.cuh"

namespace dml::emulator_test {

using cuda::blocks_of;
using cuda::launch;

namespace kernels {

constexpr int kThreads = 256;

__global__ void scale(float* y, const float* x, float a, std::size_t n) {
  const std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x;
  if (i < n) y[i] = a * x[i];
}

__global__ void __launch_bounds__(kThreads) reverse_blocks(float* y, const float* x, std::size_t n) {
  __shared__ float tile[kThreads];
  const std::size_t first = blockIdx.x * std::size_t{kThreads};
  if (first + threadIdx.x < n) tile[threadIdx.x] = x[first + threadIdx.x];
  __syncthreads();
  const unsigned last = kThreads - 1 - threadIdx.x;
  if (first + last < n) y[first + threadIdx.x] = tile[last];
}

__global__ void __launch_bounds__(kThreads) sum_blocks(float* sums, const float* x, std::size_t n) {
  DML_SHARED(float, of_warps);
  const std::size_t i = blockIdx.x * std::size_t{kThreads} + threadIdx.x;
  float sum = i < n ? x[i] : 0.0f;
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  float total = 0;
  for (int warp = 0; warp < kThreads / 32; ++warp) total += of_warps[warp];
  sums[blockIdx.x] = total;
}

__global__ void histogram(unsigned* counts, const unsigned* x, std::size_t n) {
  const std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x;
  if (i < n) atomicAdd(&counts[x[i] % 8], 1u);
}

__global__ void coordinates(float* y, int rows, int columns) {
  const int row = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (row < rows && column < columns) y[row * columns + column] = static_cast<float>(row * 1000 + column);
}

__global__ void warp_operations(unsigned* out) {
  const unsigned lane = threadIdx.x;
  const unsigned odd = __ballot_sync(0xffffffffu, lane % 2);
  const unsigned next = __shfl_down_sync(0xffffffffu, lane * 10, 1);
  const unsigned most = __reduce_max_sync(0xffffffffu, lane ^ 5u);
  out[3 * lane] = odd;
  out[3 * lane + 1] = next;
  out[3 * lane + 2] = most;
}

__global__ void missing_barrier(float* y) {
  __shared__ float tile[kThreads];
  tile[threadIdx.x] = static_cast<float>(threadIdx.x);
  y[threadIdx.x] = tile[kThreads - 1 - threadIdx.x];
}

__global__ void divergent_barrier(float* y) {
  if (threadIdx.x < kThreads / 2) {
    __syncthreads();
    y[threadIdx.x] = 1;
  } else {
    __syncthreads();
  }
}

__global__ void unwritten_shared(float* y) {
  __shared__ float tile[kThreads];
  if (threadIdx.x != 7) tile[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x];
}

__global__ void write_behind(float* y, std::size_t n) { y[n] = 1; }

__global__ void write_shared_behind(std::size_t n) {
  DML_SHARED(float, tile);
  tile[n] = 1;
}

__global__ void trap() { __trap(); }

}  // namespace kernels

void scale(float* y, const float* x, float a, std::size_t n, cuda::Stream stream) {
  launch<kernels::scale>(blocks_of(static_cast<long long>(n), 128), 128, 0, {stream}, y, x, a, n);
}
void reverse_blocks(float* y, const float* x, std::size_t n, cuda::Stream stream) {
  launch<kernels::reverse_blocks>(blocks_of(static_cast<long long>(n), 256), 256, 0, {stream}, y, x, n);
}
void sum_blocks(float* sums, const float* x, std::size_t n, cuda::Stream stream) {
  launch<kernels::sum_blocks>(blocks_of(static_cast<long long>(n), 256), 256, 8 * sizeof(float), {stream}, sums, x, n);
}
void histogram(unsigned* counts, const unsigned* x, std::size_t n, cuda::Stream stream) {
  launch<kernels::histogram>(blocks_of(static_cast<long long>(n), 128), 128, 0, {stream}, counts, x, n);
}
void coordinates(float* y, int rows, int columns, cuda::Stream stream) {
  launch<kernels::coordinates>(dim3(blocks_of(columns, 8), blocks_of(rows, 8)), dim3(8, 8), 0, {stream}, y, rows,
                               columns);
}
void warp_operations(unsigned* out, cuda::Stream stream) {
  launch<kernels::warp_operations>(1, 32, 0, {stream}, out);
}

void wrong(Wrong what, float* y, std::size_t n, cuda::Stream stream) {
  switch (what) {
    case Wrong::missing_barrier: return launch<kernels::missing_barrier>(1, 256, 0, {stream}, y);
    case Wrong::divergent_barrier: return launch<kernels::divergent_barrier>(1, 256, 0, {stream}, y);
    case Wrong::unwritten_shared: return launch<kernels::unwritten_shared>(1, 256, 0, {stream}, y);
    case Wrong::write_behind: return launch<kernels::write_behind>(1, 1, 0, {stream}, y, n);
    case Wrong::write_shared_behind: return launch<kernels::write_shared_behind>(1, 1, 4 * n, {stream}, n);
    case Wrong::trap: return launch<kernels::trap>(1, 1, 0, {stream});
  }
}

}  // namespace dml::emulator_test
