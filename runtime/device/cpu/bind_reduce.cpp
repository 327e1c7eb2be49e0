// Binders of sums over dims.
#include "kernels/reduce.h"
#include "runtime/device/cpu/bind.h"
#include "runtime/device/cpu/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml {

Kernel bind_reduce(const BindArgs& args) {
  return [y = f32_out(args, 0), x = f32_in(args, 0), sum = reduction_of(args)] {
    cpu::reduce_sum(y, x, sum.plan, sum.factor);
  };
}

Kernel bind_sum_to(const BindArgs& args) {
  return [y = f32_out(args, 0), x = f32_in(args, 0), plan = plan_sum_to(args.out[0].shape, args.in[0].shape)] {
    cpu::reduce_sum(y, x, plan, 1.0);
  };
}

}  // namespace dml
