// Binders of what reads the step's state while it runs: losses and Dropout.
#include "kernels/dropout.h"
#include "kernels/loss.h"
#include "runtime/device/cpu/bind.h"
#include "runtime/device/cpu/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml {
Kernel bind_dropout(const BindArgs& args) {
  return [y = f32_out(args, 0), x = f32_in(args, 0), d = dropout_arguments(args), context = &args.context] {
    DropoutSite now = d.site;
    now.seed = context->state->seed;
    now.step = context->state->step;
    now.first_sample = context->first_sample;
    if (!context->state->trains) now.ratio = 0;
    cpu::dropout(y, x, d.samples, d.elems, now, d.shard);
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
