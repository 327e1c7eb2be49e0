// What binders ask of a node's buffers: typed pointers, with an error that names the node where a type has no kernel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/bf16.h"
#include "runtime/device/cuda/bind.h"

namespace dml::cuda {

/// Throws ModelError: there is no kernel of this operation for `type`.
[[noreturn]] void fail_type(const BindArgs& args, DataType type);
/// Throws fail_type unless the view has this type.
void require_type(const BindArgs& args, const TensorView& view, DataType type);

template <typename T>
inline constexpr DataType kDataTypeOf = DataType::f32;
template <>
inline constexpr DataType kDataTypeOf<bf16> = DataType::bf16;
template <>
inline constexpr DataType kDataTypeOf<std::int64_t> = DataType::i64;

/// Pointer of a tensor whose elements are T; null where an optional input is absent.
template <typename T>
const T* in(const BindArgs& args, std::size_t index) {
  if (index >= args.in.size() || args.in[index].data == nullptr) return nullptr;
  require_type(args, args.in[index], kDataTypeOf<T>);
  return args.in[index].as<const T>();
}
template <typename T>
T* out(const BindArgs& args, std::size_t index) {
  require_type(args, args.out[index], kDataTypeOf<T>);
  return args.out[index].as<T>();
}

/// bind(T{}) for the T that stores a float tensor of this type; throws fail_type where it is none.
template <typename Bind>
Kernel for_storage(const BindArgs& args, DataType type, const Bind& bind) {
  if (type == DataType::f32) return bind(float{});
  if (type == DataType::bf16) return bind(bf16{});
  fail_type(args, type);
}

}  // namespace dml::cuda
