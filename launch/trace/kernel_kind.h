// What kernels of a Kineto trace do, by their names.
#pragma once

#include <string>
#include <string_view>

namespace dml {

/// "all_reduce", "all_gather", "reduce_scatter", "send/receive", ... of NCCL's kernels
/// ("ncclDevKernel_AllReduce_Sum_f32_RING_LL", and "ncclKernel_..." before NCCL 2.19), "other nccl" where the name is
/// new; all else is "compute".
std::string kernel_kind(std::string_view name);

}  // namespace dml
