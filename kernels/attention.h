// Scaled-dot-product attention as one operation, forward and backward, without a T×S matrix in memory: tiles of scores
// with an online softmax (Milakov and Gimelshein, 2018; Dao et al., 2022).
// B batch, T queries, S keys, H heads, D head width, C = H·D. Heads are interleaved in C: c = h·D + d.
#pragma once

#include <array>
#include <cstdint>

namespace dml {

struct AttentionShape {
  std::int64_t batch = 0;
  std::int64_t heads = 0;
  std::int64_t queries = 0;
  std::int64_t keys = 0;
  std::int64_t width = 0;                      ///< D
  float scale = 1;                             ///< of the scores q·k, before the mask
  bool causal = false;                         ///< query t sees keys 0 to t
  const float* mask = nullptr;                 ///< added to the scores; null: none
  std::array<std::int64_t, 4> mask_strides{};  ///< in [B, H, T, S]; 0 where broadcast
};

/// Rows of [B, tokens, C] that are `stride` elements apart: a tensor of its own, or a third of a packed [B, T, 3C].
template <typename T>
struct TokenRows {
  T* data = nullptr;
  std::int64_t stride = 0;
};

}  // namespace dml

namespace dml::cpu {

/// o [B,T,C] = softmax(scale · q kᵀ + mask) v per head; lse [B,H,T] = log Σ exp of the scores, for the gradient. A
/// query whose keys are all masked by -inf gets 0 and lse -inf.
void attention(float* o, float* lse, TokenRows<const float> q, TokenRows<const float> k, TokenRows<const float> v,
               const AttentionShape& shape);
/// dq, dk, dv by recomputing the scores; dout and o [B,T,C]. Results overlap no operand.
void attention_grad(TokenRows<float> dq, TokenRows<float> dk, TokenRows<float> dv, const float* dout,
                    TokenRows<const float> q, TokenRows<const float> k, TokenRows<const float> v, const float* o,
                    const float* lse, const AttentionShape& shape);

}  // namespace dml::cpu

namespace dml::cuda {

struct Queue;

// T is float or bf16, products and statistics are float. The width of a head is at most 256; the gradient takes
// batch · heads · queries floats of the queue's workspace. Both throw std::invalid_argument or DeviceError otherwise.

template <typename T>
void attention(T* o, float* lse, TokenRows<const T> q, TokenRows<const T> k, TokenRows<const T> v,
               const AttentionShape& shape, const Queue& queue);
template <typename T>
void attention_grad(TokenRows<T> dq, TokenRows<T> dk, TokenRows<T> dv, const T* dout, TokenRows<const T> q,
                    TokenRows<const T> k, TokenRows<const T> v, const T* o, const float* lse,
                    const AttentionShape& shape, const Queue& queue);

}  // namespace dml::cuda
