// Binders of sums over dims.
#include "kernels/reduce.h"
#include "runtime/device/cuda/bind.h"
#include "runtime/device/cuda/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml::cuda {
namespace {

Kernel bind_sum(const BindArgs& args, const Reduction& sum) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [y = out<T>(args, 0), x = in<T>(args, 0), sum, &queue = args.queue] {
      reduce_sum(y, x, sum.plan, sum.factor, queue);
    };
  });
}

}  // namespace

Kernel bind_reduce(const BindArgs& args) { return bind_sum(args, reduction_of(args)); }

Kernel bind_sum_to(const BindArgs& args) { return bind_sum(args, {plan_sum_to(args.out[0].shape, args.in[0].shape)}); }

}  // namespace dml::cuda
