// Softmax, layer norm and batch norm, with their gradients.
#include <cmath>
#include <tuple>

#include "tests/reference/rules.h"

namespace dml::reference {
namespace {

/// body(line) for every line of `shape` along `dim`: line[i] is the index of its element i.
template <typename Body>
void for_each_line(const Shape& shape, int dim, const Body& body) {
  for_each(with_extent(shape, dim, 1), [&](const Index& first) {
    std::vector<Index> line;
    for (std::int64_t i = 0; i < shape[dim]; ++i) line.push_back(moved(first, dim, i));
    body(line);
  });
}

double log_sum_exp(const Tensor64& x, const std::vector<Index>& line) {
  double largest = -INFINITY;
  for (const Index& i : line) largest = std::fmax(largest, at(x, i));
  double sum = 0;
  for (const Index& i : line) sum += std::exp(at(x, i) - largest);
  return largest + std::log(sum);
}

template <bool is_log>
void softmax(const Call& call) {
  const Tensor64& x = call.in[0];
  for_each_line(x.shape, call.axis(x.shape), [&](const std::vector<Index>& line) {
    const double lse = log_sum_exp(x, line);
    for (const Index& i : line) at(call.out[0], i) = is_log ? at(x, i) - lse : std::exp(at(x, i) - lse);
  });
}

void softmax_grad(const Call& call) {
  const auto& [dy, y] = std::tie(call.in[0], call.in[1]);
  for_each_line(y.shape, call.axis(y.shape), [&](const std::vector<Index>& line) {
    double sum = 0;
    for (const Index& i : line) sum += at(dy, i) * at(y, i);
    for (const Index& i : line) at(call.out[0], i) = at(y, i) * (at(dy, i) - sum);
  });
}

void log_softmax_grad(const Call& call) {
  const auto& [dy, y] = std::tie(call.in[0], call.in[1]);
  for_each_line(y.shape, call.axis(y.shape), [&](const std::vector<Index>& line) {
    double sum = 0;
    for (const Index& i : line) sum += at(dy, i);
    for (const Index& i : line) at(call.out[0], i) = at(dy, i) - std::exp(at(y, i)) * sum;
  });
}

/// Rows that layer norm takes its statistics over: dims [axis, rank).
struct Rows {
  std::size_t count, width;
};

Rows rows_of(const Call& call, const Shape& x) {
  const int axis = call.axis(x);
  return {static_cast<std::size_t>(x.product(0, axis)), static_cast<std::size_t>(x.product(axis, x.rank()))};
}

void layer_norm(const Call& call) {
  const auto& x = call.in[0].elements;
  const auto [count, width] = rows_of(call, call.in[0].shape);
  for (std::size_t row = 0; row < count; ++row) {
    double mean = 0;
    double variance = 0;
    for (std::size_t i = 0; i < width; ++i) mean += x[row * width + i] / static_cast<double>(width);
    for (std::size_t i = 0; i < width; ++i) {
      variance += std::pow(x[row * width + i] - mean, 2) / static_cast<double>(width);
    }
    const double rstd = 1 / std::sqrt(variance + call.attrs().real("epsilon", 1e-5));
    call.out[1].elements[row] = mean;
    call.out[2].elements[row] = rstd;
    for (std::size_t i = 0; i < width; ++i) {
      const double bias = call.has(2) ? call.in[2].elements[i] : 0;
      call.out[0].elements[row * width + i] = (x[row * width + i] - mean) * rstd * call.in[1].elements[i] + bias;
    }
  }
}

// dx = rstd (g - mean(g) - x̂ mean(g x̂)), g = dy scale, x̂ = (x - mean) rstd
void layer_norm_grad(const Call& call) {
  const auto& dy = call.in[0].elements;
  const auto& x = call.in[1].elements;
  const auto& scale = call.in[2].elements;
  const auto [count, width] = rows_of(call, call.in[1].shape);
  for (std::size_t row = 0; row < count; ++row) {
    const double mean = call.in[3].elements[row];
    const double rstd = call.in[4].elements[row];
    double mean_g = 0;
    double mean_gx = 0;
    for (std::size_t i = 0; i < width; ++i) {
      const double g = dy[row * width + i] * scale[i] / static_cast<double>(width);
      mean_g += g;
      mean_gx += g * (x[row * width + i] - mean) * rstd;
    }
    for (std::size_t i = 0; i < width; ++i) {
      const double normal = (x[row * width + i] - mean) * rstd;
      call.out[0].elements[row * width + i] = rstd * (dy[row * width + i] * scale[i] - mean_g - normal * mean_gx);
    }
  }
}

void layer_norm_param_grad(const Call& call) {
  const auto& dy = call.in[0].elements;
  const auto& x = call.in[1].elements;
  const auto [count, width] = rows_of(call, call.in[1].shape);
  for (std::size_t row = 0; row < count; ++row) {
    for (std::size_t i = 0; i < width; ++i) {
      const double normal = (x[row * width + i] - call.in[2].elements[row]) * call.in[3].elements[row];
      call.out[0].elements[i] += dy[row * width + i] * normal;
      call.out[1].elements[i] += dy[row * width + i];
    }
  }
}

double per_channel(const Shape& x) { return static_cast<double>(x.num_elements()) / static_cast<double>(x[1]); }

void batch_norm(const Call& call) {
  const Tensor64& x = call.in[0];
  const double n = per_channel(x.shape);
  const double momentum = call.attrs().real("momentum", 0.9);
  std::vector<double> mean(static_cast<std::size_t>(x.shape[1]), 0);
  std::vector<double> squares = mean;
  const auto channel = [](const Index& i) { return static_cast<std::size_t>(i[1]); };
  for_each(x.shape, [&](const Index& i) { mean[channel(i)] += at(x, i) / n; });
  for_each(x.shape, [&](const Index& i) { squares[channel(i)] += std::pow(at(x, i) - mean[channel(i)], 2); });
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const double unbiased = squares[c] / std::fmax(n - 1, 1);
    call.out[1].elements[c] = mean[c];
    call.out[2].elements[c] = 1 / std::sqrt(squares[c] / n + call.attrs().real("epsilon", 1e-5));
    call.out[3].elements[c] = momentum * call.in[3].elements[c] + (1 - momentum) * mean[c];
    call.out[4].elements[c] = momentum * call.in[4].elements[c] + (1 - momentum) * unbiased;
  }
  for_each(x.shape, [&](const Index& i) {
    const double normal = (at(x, i) - mean[channel(i)]) * call.out[2].elements[channel(i)];
    at(call.out[0], i) = normal * call.in[1].elements[channel(i)] + call.in[2].elements[channel(i)];
  });
}

// dx = scale rstd (dy - mean(dy) - x̂ mean(dy x̂))
void batch_norm_grad(const Call& call) {
  const auto& [dy, x] = std::tie(call.in[0], call.in[1]);
  const auto [dx, dscale, dbias] = std::tie(call.out[0], call.out[1], call.out[2]);
  const double n = per_channel(x.shape);
  const auto in = [&](std::size_t input, const Index& i) {
    return call.in[input].elements[static_cast<std::size_t>(i[1])];
  };
  const auto normal = [&](const Index& i) { return (at(x, i) - in(3, i)) * in(4, i); };
  for_each(x.shape, [&](const Index& i) {
    dscale.elements[static_cast<std::size_t>(i[1])] += at(dy, i) * normal(i);
    dbias.elements[static_cast<std::size_t>(i[1])] += at(dy, i);
  });
  for_each(x.shape, [&](const Index& i) {
    const double of_scale = dscale.elements[static_cast<std::size_t>(i[1])] / n;
    const double of_bias = dbias.elements[static_cast<std::size_t>(i[1])] / n;
    at(dx, i) = in(2, i) * in(4, i) * (at(dy, i) - of_bias - normal(i) * of_scale);
  });
}

}  // namespace

void add_normalization(Rules& rules) {
  rules["Softmax"] = softmax<false>;
  rules["LogSoftmax"] = softmax<true>;
  rules["SoftmaxGrad"] = softmax_grad;
  rules["LogSoftmaxGrad"] = log_softmax_grad;
  rules["LayerNorm"] = layer_norm;
  rules["LayerNormGrad"] = layer_norm_grad;
  rules["LayerNormParamGrad"] = layer_norm_param_grad;
  rules["BatchNorm"] = batch_norm;
  rules["BatchNormGrad"] = batch_norm_grad;
}

}  // namespace dml::reference
