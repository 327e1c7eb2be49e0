// Binders of what reads the step's state while it runs: losses and Dropout.
#include <stdexcept>

#include <fmt/format.h>

#include "kernels/dropout.h"
#include "kernels/loss.h"
#include "models/op.h"
#include "runtime/device/cpu/bind.h"
#include "runtime/device/cpu/operands.h"

namespace dml {
namespace {

/// Logits as rows of classes.
struct LogitRows {
  std::int64_t rows, classes;
};

LogitRows logit_rows(const Shape& logits) { return {logits.product(0, logits.rank() - 1), logits.back()}; }

/// Of samples with `elems` elements here. The attribute is (dim, outer, units, inner, begin, end); the samples are in
/// dim 0, which is never split.
DropoutShard dropout_shard(const BindArgs& args, const Shape& shape, std::int64_t elems) {
  const auto shard = args.node.attrs.integers("shard");
  if (shard.empty()) return {elems, elems, 0};
  if (shard.size() != 6 || shard[0] < 1 || shard[0] >= shape.rank()) {
    throw std::invalid_argument(fmt::format("[dropout] {}: a shard of {} numbers along dim {} of {}", args.node.name,
                                            shard.size(), shard[0], shape.to_string()));
  }
  const std::int64_t inner = shard[3] * shape.product(static_cast<int>(shard[0]) + 1, shape.rank());
  return {(shard[5] - shard[4]) * inner, shard[2] * inner, shard[4] * inner};
}

}  // namespace

Kernel bind_dropout(const BindArgs& args) {
  const Shape& shape = args.in[0].shape;
  const std::int64_t rows = args.node.attrs.integer("sample_rows", 1);
  const std::int64_t samples = shape.rank() > 0 ? shape[0] / rows : 1;
  const std::int64_t elems = rows * shape.product(1, shape.rank());
  DropoutSite site;
  site.site = args.node.attrs.integer("site");
  site.ratio = args.node.attrs.real("ratio");
  return [y = f32_out(args, 0), x = f32_in(args, 0), samples, elems, site, shard = dropout_shard(args, shape, elems),
          context = &args.context] {
    DropoutSite now = site;
    now.seed = context->state->seed;
    now.step = context->state->step;
    now.first_sample = context->first_sample;
    if (!context->state->trains) now.ratio = 0;
    cpu::dropout(y, x, samples, elems, now, shard);
  };
}

Kernel bind_cross_entropy(const BindArgs& args) {
  return [loss = f32_out(args, 0), lse = f32_out(args, 1), logits = f32_in(args, 0), labels = i64_in(args, 1),
          d = logit_rows(args.in[0].shape), context = &args.context] {
    check_labels(labels, d.rows, d.classes);
    cpu::cross_entropy(loss, lse, logits, labels, d.rows, d.classes, context->state->loss_scale);
  };
}

Kernel bind_cross_entropy_stats(const BindArgs& args) {
  return
      [stats = f32_out(args, 0), logits = f32_in(args, 0), labels = i64_in(args, 1), d = logit_rows(args.in[0].shape),
       offset = args.node.attrs.integer("offset"), whole = args.node.attrs.integer("whole")] {
        check_labels(labels, d.rows, whole);
        cpu::cross_entropy_stats(stats, logits, labels, d.rows, d.classes, offset);
      };
}

Kernel bind_cross_entropy_merge(const BindArgs& args) {
  return [loss = f32_out(args, 0), lse = f32_out(args, 1), stats = f32_in(args, 0), labels = i64_in(args, 1),
          slices = args.in[0].shape[0], rows = args.in[1].num_elements(), context = &args.context] {
    cpu::cross_entropy_merge(loss, lse, stats, labels, slices, rows, context->state->loss_scale);
  };
}

Kernel bind_cross_entropy_grad(const BindArgs& args) {
  return [dlogits = f32_out(args, 0), logits = f32_in(args, 0), labels = i64_in(args, 1), lse = f32_in(args, 2),
          d = logit_rows(args.in[0].shape), offset = args.node.attrs.integer("offset"), context = &args.context] {
    cpu::cross_entropy_grad(dlogits, logits, labels, lse, d.rows, d.classes, offset, context->state->loss_scale);
  };
}

Kernel bind_mean_squared_error(const BindArgs& args) {
  return [loss = f32_out(args, 0), x = f32_in(args, 0), target = f32_in(args, 1), n = args.in[0].num_elements(),
          context = &args.context] { cpu::mean_squared_error(loss, x, target, n, context->state->loss_scale); };
}

Kernel bind_mean_squared_error_grad(const BindArgs& args) {
  return [dx = f32_out(args, 0), x = f32_in(args, 0), target = f32_in(args, 1), n = args.in[0].num_elements(),
          context = &args.context] { cpu::mean_squared_error_grad(dx, x, target, n, context->state->loss_scale); };
}

Kernel bind_weighted_loss(const BindArgs& args) {
  return [loss = f32_out(args, 0), x = f32_in(args, 0), context = &args.context] {
    *loss = context->state->loss_scale * *x;
  };
}

Kernel bind_weighted_loss_grad(const BindArgs& args) {
  return [dx = f32_out(args, 0), context = &args.context] { *dx = context->state->loss_scale; };
}

}  // namespace dml
