// Binders of sums over dims.
#include <numeric>
#include <vector>

#include "kernels/reduce.h"
#include "models/op.h"
#include "runtime/device/cpu/bind.h"
#include "runtime/device/cpu/operands.h"

namespace dml {

Kernel bind_reduce(const BindArgs& args) {
  const Shape& shape = args.in[0].shape;
  const auto given = args.node.attrs.integers("axes");
  std::vector<std::int64_t> axes(given.begin(), given.end());
  if (!args.node.attrs.has("axes")) {
    axes.resize(static_cast<std::size_t>(shape.rank()));
    std::iota(axes.begin(), axes.end(), 0);
  }
  const double summed = static_cast<double>(shape.num_elements()) / static_cast<double>(args.out[0].num_elements());
  const double factor = args.node.op->name == "ReduceMean" ? 1.0 / summed : 1.0;
  return [y = f32_out(args, 0), x = f32_in(args, 0), plan = plan_reduce(shape, axes), factor] {
    cpu::reduce_sum(y, x, plan, factor);
  };
}

Kernel bind_sum_to(const BindArgs& args) {
  return [y = f32_out(args, 0), x = f32_in(args, 0), plan = plan_sum_to(args.out[0].shape, args.in[0].shape)] {
    cpu::reduce_sum(y, x, plan, 1.0);
  };
}

}  // namespace dml
