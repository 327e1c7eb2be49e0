#include "runtime/device/bind_args.h"

#include <algorithm>

#include <fmt/format.h>

#include "kernels/error.h"
#include "models/op.h"

namespace dml {
namespace {

constexpr std::string_view kOperations[] = {
#define DML_ROW(operation, binder) #operation,
#include "runtime/device/kernel_rows.def"
#undef DML_ROW
};

}  // namespace

std::span<const std::string_view> operations_with_kernels() { return kOperations; }

std::size_t kernel_row(const Node& node) {
  const auto row = std::find(std::begin(kOperations), std::end(kOperations), node.op->name);
  if (row == std::end(kOperations))
    throw ModelError(fmt::format("{}: there is no kernel of {}", node.name, node.op->name));
  return static_cast<std::size_t>(row - std::begin(kOperations));
}

}  // namespace dml
