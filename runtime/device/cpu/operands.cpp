#include "runtime/device/cpu/operands.h"

#include <fmt/format.h>

#include "kernels/error.h"
#include "models/op.h"

namespace dml {

void fail_type(const BindArgs& args, DataType type) {
  throw ModelError(
      fmt::format("{}: the CPU has no kernel of {} for {}", args.node.name, args.node.op->name, name_of(type)));
}

void require_type(const BindArgs& args, const TensorView& view, DataType type) {
  if (view.dtype != type) fail_type(args, view.dtype);
}

bool has_input(const BindArgs& args, std::size_t index) {
  return index < args.in.size() && args.in[index].data != nullptr;
}

TensorView optional_input(const BindArgs& args, std::size_t index) {
  return has_input(args, index) ? args.in[index] : TensorView{};
}

const float* f32_in(const BindArgs& args, std::size_t index) {
  if (!has_input(args, index)) return nullptr;
  require_type(args, args.in[index], DataType::f32);
  return args.in[index].as<const float>();
}

float* f32_out(const BindArgs& args, std::size_t index) {
  require_type(args, args.out[index], DataType::f32);
  return args.out[index].f32();
}

const std::int64_t* i64_in(const BindArgs& args, std::size_t index) {
  require_type(args, args.in[index], DataType::i64);
  return args.in[index].as<const std::int64_t>();
}

}  // namespace dml
