// Scaled-dot-product attention (Vaswani et al., 2017) and its gradients, with the whole matrix of weights in memory.
// B batch, T queries, S keys, H heads, D head width, C = H D; channel c = h D + d.
#include <cmath>

#include "tests/reference/rules.h"

namespace dml::reference {
namespace {

struct Operands {
  const Tensor64& q;
  const Tensor64& k;
  const Tensor64& v;
  const Tensor64* mask;
};

struct Weights {
  Tensor64 weights;  ///< [B, H, T, S], softmax of the scores
  Tensor64 lse;      ///< [B, H, T]
};

std::int64_t head_width(const Call& call, const Tensor64& q) { return q.shape[2] / call.attrs().integer("heads"); }

double score(const Call& call, const Operands& x, const Index& i) {
  const std::int64_t width = head_width(call, x.q);
  double sum = 0;
  for (std::int64_t c = i[1] * width; c < (i[1] + 1) * width; ++c) {
    sum += at(x.q, {i[0], i[2], c}) * at(x.k, {i[0], i[3], c});
  }
  if (call.attrs().integer("causal") != 0 && i[3] > i[2]) return -INFINITY;
  return call.attrs().real("scale", 1) * sum + (x.mask != nullptr ? at(*x.mask, i) : 0);
}

Weights weights_of(const Call& call, const Operands& x) {
  const Shape scores{x.q.shape[0], call.attrs().integer("heads"), x.q.shape[1], x.k.shape[1]};
  Weights result{Tensor64::zeros(scores), Tensor64::zeros({scores[0], scores[1], scores[2]})};
  for_each(scores, [&](const Index& i) {
    at(result.weights, i) = std::exp(score(call, x, i));
    at(result.lse, {i[0], i[1], i[2]}) += at(result.weights, i);
  });
  // A query that sees no key attends to nothing.
  for_each(scores, [&](const Index& i) {
    const double sum = at(result.lse, {i[0], i[1], i[2]});
    at(result.weights, i) = sum > 0 ? at(result.weights, i) / sum : 0;
  });
  for (double& sum : result.lse.elements) sum = std::log(sum);
  return result;
}

void attend(const Call& call, const Operands& x) {
  const std::int64_t width = head_width(call, x.q);
  Weights found = weights_of(call, x);
  for_each(found.weights.shape, [&](const Index& i) {
    for (std::int64_t c = i[1] * width; c < (i[1] + 1) * width; ++c) {
      at(call.out[0], {i[0], i[2], c}) += at(found.weights, i) * at(x.v, {i[0], i[3], c});
    }
  });
  call.out[1] = std::move(found.lse);
}

struct Gradients {
  Tensor64 dq, dk, dv;
};

// dv = Pᵀ do; dP = do vᵀ; dS = P (dP - Σ do o); dq = scale dS k; dk = scale dSᵀ q. o is the forward result as it was
// stored: dP - Σ do o is small beside both, so how o was rounded shows in it.
Gradients gradients_of(const Call& call, const Tensor64& dout, const Tensor64& o, const Operands& x) {
  const std::int64_t width = head_width(call, x.q);
  const Tensor64 weights = weights_of(call, x).weights;
  Tensor64 dweights = Tensor64::zeros(weights.shape);
  Tensor64 sums = Tensor64::zeros(with_extent(weights.shape, 3, 1));
  for_each(sums.shape, [&](const Index& i) {
    for (std::int64_t c = i[1] * width; c < (i[1] + 1) * width; ++c) {
      at(sums, i) += at(dout, {i[0], i[2], c}) * at(o, {i[0], i[2], c});
    }
  });
  Gradients grads{Tensor64::zeros(x.q.shape), Tensor64::zeros(x.k.shape), Tensor64::zeros(x.v.shape)};
  for_each(weights.shape, [&](const Index& i) {
    for (std::int64_t c = i[1] * width; c < (i[1] + 1) * width; ++c) {
      at(dweights, i) += at(dout, {i[0], i[2], c}) * at(x.v, {i[0], i[3], c});
      at(grads.dv, {i[0], i[3], c}) += at(weights, i) * at(dout, {i[0], i[2], c});
    }
  });
  for_each(weights.shape, [&](const Index& i) {
    const double dscore = at(weights, i) * (at(dweights, i) - at(sums, i)) * call.attrs().real("scale", 1);
    for (std::int64_t c = i[1] * width; c < (i[1] + 1) * width; ++c) {
      at(grads.dq, {i[0], i[2], c}) += dscore * at(x.k, {i[0], i[3], c});
      at(grads.dk, {i[0], i[3], c}) += dscore * at(x.q, {i[0], i[2], c});
    }
  });
  return grads;
}

/// Third `part` of the last dim.
Tensor64 third(const Tensor64& qkv, std::int64_t part) {
  const std::int64_t width = qkv.shape.back() / 3;
  Tensor64 result = Tensor64::zeros(with_extent(qkv.shape, 2, width));
  for_each(result.shape, [&](const Index& i) { at(result, i) = at(qkv, moved(i, 2, part * width + i[2])); });
  return result;
}

void put_third(Tensor64& qkv, std::int64_t part, const Tensor64& x) {
  for_each(x.shape, [&](const Index& i) { at(qkv, moved(i, 2, part * x.shape.back() + i[2])) = at(x, i); });
}

const Tensor64* mask_of(const Call& call, std::size_t index) { return call.has(index) ? &call.in[index] : nullptr; }

void attention(const Call& call) { attend(call, {call.in[0], call.in[1], call.in[2], mask_of(call, 3)}); }

void packed_attention(const Call& call) {
  const Tensor64 q = third(call.in[0], 0);
  const Tensor64 k = third(call.in[0], 1);
  const Tensor64 v = third(call.in[0], 2);
  attend(call, {q, k, v, mask_of(call, 1)});
}

void attention_grad(const Call& call) {
  const Operands operands{call.in[1], call.in[2], call.in[3], mask_of(call, 4)};
  Gradients grads = gradients_of(call, call.in[0], call.in[5], operands);
  call.out = {std::move(grads.dq), std::move(grads.dk), std::move(grads.dv)};
}

void packed_attention_grad(const Call& call) {
  const Tensor64 q = third(call.in[1], 0);
  const Tensor64 k = third(call.in[1], 1);
  const Tensor64 v = third(call.in[1], 2);
  const Gradients grads = gradients_of(call, call.in[0], call.in[3], {q, k, v, mask_of(call, 2)});
  put_third(call.out[0], 0, grads.dq);
  put_third(call.out[0], 1, grads.dk);
  put_third(call.out[0], 2, grads.dv);
}

}  // namespace

void add_attention(Rules& rules) {
  rules["Attention"] = attention;
  rules["PackedAttention"] = packed_attention;
  rules["AttentionGrad"] = attention_grad;
  rules["PackedAttentionGrad"] = packed_attention_grad;
}

}  // namespace dml::reference
