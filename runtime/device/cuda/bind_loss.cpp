// Binders of what reads the step's state while it runs: losses and Dropout.
#include "kernels/dropout.h"
#include "kernels/loss.h"
#include "runtime/device/cuda/bind.h"
#include "runtime/device/cuda/operands.h"
#include "runtime/device/node_arguments.h"

namespace dml::cuda {

Kernel bind_dropout(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [y = out<T>(args, 0), x = in<T>(args, 0), d = dropout_arguments(args), context = &args.context,
            &queue = args.queue] {
      DropoutSite site = d.site;
      site.first_sample = context->first_sample;
      dropout(y, x, d.samples, d.elems, site, d.shard, context->state, queue);
    };
  });
}

Kernel bind_cross_entropy(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return
        [loss = out<float>(args, 0), lse = out<float>(args, 1), logits = in<T>(args, 0),
         labels = in<std::int64_t>(args, 1), d = logit_rows(args.in[0].shape), context = &args.context,
         &queue = args.queue] { cross_entropy(loss, lse, logits, labels, d.rows, d.classes, context->state, queue); };
  });
}

Kernel bind_cross_entropy_stats(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [stats = out<float>(args, 0), logits = in<T>(args, 0), labels = in<std::int64_t>(args, 1),
            d = logit_rows(args.in[0].shape), offset = args.node.attrs.integer("offset"),
            whole = args.node.attrs.integer("whole"), &queue = args.queue] {
      cross_entropy_stats(stats, logits, labels, d.rows, d.classes, offset, whole, queue);
    };
  });
}

Kernel bind_cross_entropy_merge(const BindArgs& args) {
  return [loss = out<float>(args, 0), lse = out<float>(args, 1), stats = in<float>(args, 0),
          labels = in<std::int64_t>(args, 1), slices = args.in[0].shape[0], rows = args.in[1].num_elements(),
          context = &args.context,
          &queue = args.queue] { cross_entropy_merge(loss, lse, stats, labels, slices, rows, context->state, queue); };
}

Kernel bind_cross_entropy_grad(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [dlogits = out<T>(args, 0), logits = in<T>(args, 0), labels = in<std::int64_t>(args, 1),
            lse = in<float>(args, 2), d = logit_rows(args.in[0].shape), offset = args.node.attrs.integer("offset"),
            context = &args.context, &queue = args.queue] {
      cross_entropy_grad(dlogits, logits, labels, lse, d.rows, d.classes, offset, context->state, queue);
    };
  });
}

Kernel bind_mean_squared_error(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [loss = out<float>(args, 0), x = in<T>(args, 0), target = in<T>(args, 1), n = args.in[0].num_elements(),
            context = &args.context,
            &queue = args.queue] { mean_squared_error(loss, x, target, n, context->state, queue); };
  });
}

Kernel bind_mean_squared_error_grad(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [dx = out<T>(args, 0), x = in<T>(args, 0), target = in<T>(args, 1), n = args.in[0].num_elements(),
            context = &args.context,
            &queue = args.queue] { mean_squared_error_grad(dx, x, target, n, context->state, queue); };
  });
}

Kernel bind_weighted_loss(const BindArgs& args) {
  return for_storage(args, args.in[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [loss = out<float>(args, 0), x = in<T>(args, 0), context = &args.context, &queue = args.queue] {
      weighted_loss(loss, x, context->state, queue);
    };
  });
}

Kernel bind_weighted_loss_grad(const BindArgs& args) {
  return for_storage(args, args.out[0].dtype, [&](auto stored) -> Kernel {
    using T = decltype(stored);
    return [dx = out<T>(args, 0), context = &args.context, &queue = args.queue] {
      weighted_loss_grad(dx, context->state, queue);
    };
  });
}

}  // namespace dml::cuda
