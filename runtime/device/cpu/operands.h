// What binders ask of a node's buffers: typed pointers, with an error that names the node where a type has no kernel.
#pragma once

#include <cstddef>

#include "runtime/device/cpu/bind.h"

namespace dml {

/// Throws ModelError: there is no kernel of this operation for `type`.
[[noreturn]] void fail_type(const BindArgs& args, DataType type);
/// Throws fail_type unless the view has this type.
void require_type(const BindArgs& args, const TensorView& view, DataType type);

bool has_input(const BindArgs& args, std::size_t index);
/// With null data where an optional input is absent.
TensorView optional_input(const BindArgs& args, std::size_t index);
/// Pointers of an f32 tensor; null where an optional input is absent.
const float* f32_in(const BindArgs& args, std::size_t index);
float* f32_out(const BindArgs& args, std::size_t index);
/// Pointer of an i64 tensor, as labels are.
const std::int64_t* i64_in(const BindArgs& args, std::size_t index);

}  // namespace dml
