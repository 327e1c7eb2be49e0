#include "runtime/device/cuda/operands.h"

#include <fmt/format.h>

#include "kernels/error.h"
#include "models/op.h"

namespace dml::cuda {

void fail_type(const BindArgs& args, DataType type) {
  throw ModelError(
      fmt::format("{}: CUDA has no kernel of {} for {}", args.node.name, args.node.op->name, name_of(type)));
}

void require_type(const BindArgs& args, const TensorView& view, DataType type) {
  if (view.dtype != type) fail_type(args, view.dtype);
}

}  // namespace dml::cuda
