// Kernels that the emulator is tested with: right ones, and ones with faults that it must name.
#pragma once

#include <cstddef>

#include "kernels/cuda/queue.h"

namespace dml::emulator_test {

/// y[i] = a x[i]
void scale(float* y, const float* x, float a, std::size_t n, cuda::Stream stream);
/// Each block of 256 elements in reverse order, through shared memory.
void reverse_blocks(float* y, const float* x, std::size_t n, cuda::Stream stream);
/// sums[b] = the sum of block b's 256 elements: warp shuffles, then dynamic shared memory.
void sum_blocks(float* sums, const float* x, std::size_t n, cuda::Stream stream);
/// counts[x[i] % 8] += 1, atomically.
void histogram(unsigned* counts, const unsigned* x, std::size_t n, cuda::Stream stream);
/// y[row, column] = row * 1000 + column, by a two-dimensional grid of 8x8 blocks.
void coordinates(float* y, int rows, int columns, cuda::Stream stream);
/// out[i]: what the votes and exchanges of one warp give lane i: ballot of odd lanes, value of lane i+1, maximum.
void warp_operations(unsigned* out, cuda::Stream stream);

enum class Wrong {
  missing_barrier,    ///< reads shared memory that other threads are to write
  divergent_barrier,  ///< threads of a block wait at different barriers
  unwritten_shared,   ///< reads shared memory that nobody writes
  write_behind,       ///< writes y[n]
  write_shared_behind,
  trap,
};
void wrong(Wrong what, float* y, std::size_t n, cuda::Stream stream);

}  // namespace dml::emulator_test
