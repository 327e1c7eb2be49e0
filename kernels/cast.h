// Conversion between data types.
#pragma once

#include "kernels/tensor.h"

namespace dml::cpu {

/// y = x in y's data type, any to any. Narrowing floats rounds to nearest, ties to even; floats become integers by
/// truncation, clamped to the range, NaN to 0; any value but 0 becomes true.
void cast(const TensorView& y, const TensorView& x);

}  // namespace dml::cpu
