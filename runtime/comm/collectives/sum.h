// Sums of equally long arrays in a fixed order.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/tensor.h"

namespace dml {

/// out[i] = sources[0][i] + sources[1][i] + ..., rounded after each addition. `out` may be one of the sources.
void sum_in_order(void* out, std::span<const void* const> sources, std::int64_t count, DataType dtype);

/// Throws std::invalid_argument unless f32, f64 or i64.
void check_summable(DataType dtype, const char* operation);

}  // namespace dml
