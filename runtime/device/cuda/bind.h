// How a graph node becomes a CUDA kernel: the arguments of every binder, and the binders themselves, by family.
// A binder reads attributes and shapes once and returns a closure that launches, and allocates nothing when called.
#pragma once

#include "kernels/cuda/queue.h"
#include "runtime/device/cpu/bind.h"

namespace dml::cuda {

/// What a binder sees. Views and context.state are device memory, never read here; the queue outlives the kernel.
struct BindArgs : dml::BindArgs {
  const Queue& queue;
};

// bind_elementwise.cpp
Kernel bind_binary(const BindArgs& args);
Kernel bind_compare(const BindArgs& args);
Kernel bind_logical(const BindArgs& args);
Kernel bind_not(const BindArgs& args);
Kernel bind_where(const BindArgs& args);
Kernel bind_unary(const BindArgs& args);
Kernel bind_clip(const BindArgs& args);
Kernel bind_output_grad(const BindArgs& args);
Kernel bind_gelu_grad(const BindArgs& args);
Kernel bind_clip_grad(const BindArgs& args);

// bind_normalization.cpp
Kernel bind_softmax(const BindArgs& args);
Kernel bind_softmax_grad(const BindArgs& args);
Kernel bind_layer_norm(const BindArgs& args);
Kernel bind_layer_norm_grad(const BindArgs& args);
Kernel bind_layer_norm_param_grad(const BindArgs& args);

// bind_reduce.cpp
Kernel bind_reduce(const BindArgs& args);
Kernel bind_sum_to(const BindArgs& args);

// bind_move.cpp
Kernel bind_cast(const BindArgs& args);
Kernel bind_reshape(const BindArgs& args);
Kernel bind_transpose(const BindArgs& args);
Kernel bind_expand(const BindArgs& args);
Kernel bind_slice(const BindArgs& args);
Kernel bind_slice_grad(const BindArgs& args);
Kernel bind_concat(const BindArgs& args);
Kernel bind_split(const BindArgs& args);
Kernel bind_gather(const BindArgs& args);
Kernel bind_gather_grad(const BindArgs& args);
Kernel bind_shard_slice(const BindArgs& args);
Kernel bind_shard_merge(const BindArgs& args);

// bind_linear.cpp
Kernel bind_matmul(const BindArgs& args);
Kernel bind_conv(const BindArgs& args);
Kernel bind_conv_input_grad(const BindArgs& args);
Kernel bind_conv_weight_grad(const BindArgs& args);

// bind_window.cpp
Kernel bind_max_pool(const BindArgs& args);
Kernel bind_max_pool_grad(const BindArgs& args);
Kernel bind_average_pool(const BindArgs& args);
Kernel bind_average_pool_grad(const BindArgs& args);
Kernel bind_batch_norm(const BindArgs& args);
Kernel bind_batch_norm_grad(const BindArgs& args);

// bind_attention.cpp
Kernel bind_attention(const BindArgs& args);
Kernel bind_attention_grad(const BindArgs& args);
Kernel bind_packed_attention(const BindArgs& args);
Kernel bind_packed_attention_grad(const BindArgs& args);

// bind_loss.cpp
Kernel bind_dropout(const BindArgs& args);
Kernel bind_cross_entropy(const BindArgs& args);
Kernel bind_cross_entropy_stats(const BindArgs& args);
Kernel bind_cross_entropy_merge(const BindArgs& args);
Kernel bind_cross_entropy_grad(const BindArgs& args);
Kernel bind_mean_squared_error(const BindArgs& args);
Kernel bind_mean_squared_error_grad(const BindArgs& args);
Kernel bind_weighted_loss(const BindArgs& args);
Kernel bind_weighted_loss_grad(const BindArgs& args);

}  // namespace dml::cuda
