// What the attributes and shapes of a node mean to the kernels of any device.
#pragma once

#include "kernels/batch_norm.h"
#include "kernels/conv.h"
#include "kernels/gather.h"
#include "kernels/matmul.h"
#include "kernels/move.h"
#include "kernels/pool.h"
#include "models/graph.h"

namespace dml {

MatMulOptions matmul_options(const Attributes& attrs);
ConvOptions conv_options(const Attributes& attrs);

/// Of a pool from x to y; one spatial dim becomes the second of two.
PoolGeometry pool_geometry(const Attributes& attrs, const Shape& x, const Shape& y);
/// Throws std::invalid_argument where there are dilations.
PoolGeometry average_pool_geometry(const Attributes& attrs, const Shape& x, const Shape& y);

BatchNormExtents batch_norm_extents(const Shape& x);
GatherShape gather_shape(const Attributes& attrs, const Shape& table, const Shape& indices);
ShardedDim sharded_dim(const Attributes& attrs, const Shape& whole);

}  // namespace dml
