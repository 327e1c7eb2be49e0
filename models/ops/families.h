// The families of operations; registry.cpp puts them together. Adding an operation is a row in its family's list.
#pragma once

#include <span>

#include "models/op.h"

namespace dml {

std::span<const OpDef> matmul_ops();
std::span<const OpDef> arithmetic_ops();
std::span<const OpDef> comparison_ops();
std::span<const OpDef> unary_ops();
std::span<const OpDef> softmax_ops();
std::span<const OpDef> normalization_ops();
std::span<const OpDef> convolution_ops();
std::span<const OpDef> pooling_ops();
std::span<const OpDef> reduction_ops();
std::span<const OpDef> layout_ops();
std::span<const OpDef> slicing_ops();
std::span<const OpDef> gather_ops();
std::span<const OpDef> dropout_ops();
std::span<const OpDef> attention_ops();
std::span<const OpDef> loss_ops();
std::span<const OpDef> shard_ops();

}  // namespace dml
