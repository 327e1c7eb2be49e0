// The binders of CPU kernels, by family in bind_*.cpp.
#pragma once

#include "runtime/device/bind_args.h"

namespace dml {

#define DML_ROW(operation, binder) Kernel binder(const BindArgs& args);
#include "runtime/device/kernel_rows.def"
#undef DML_ROW

}  // namespace dml
