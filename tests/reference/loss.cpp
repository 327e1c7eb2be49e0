// Losses of a microbatch with their gradients, and dropout: the operations that read the step's state.
#include <cmath>
#include <tuple>

#include "kernels/philox.h"
#include "tests/reference/rules.h"

namespace dml::reference {
namespace {

constexpr double kIgnored = -100;

double scale_of(const Call& call) { return call.step.state.loss_scale; }

/// V, the classes of a row of logits.
std::size_t classes_of(const Call& call) { return static_cast<std::size_t>(call.in[0].shape.back()); }

double log_sum_exp(const double* logits, std::size_t count) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += std::exp(logits[i]);
  return std::log(sum);
}

void cross_entropy(const Call& call) {
  const auto& labels = call.in[1].elements;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const double* const logits = call.in[0].elements.data() + row * classes_of(call);
    const double lse = log_sum_exp(logits, classes_of(call));
    call.out[1].elements[row] = lse;
    if (labels[row] == kIgnored) continue;
    call.out[0].elements[0] += scale_of(call) * (lse - logits[static_cast<std::size_t>(labels[row])]);
  }
}

void cross_entropy_stats(const Call& call) {
  const auto& labels = call.in[1].elements;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const double* const logits = call.in[0].elements.data() + row * classes_of(call);
    double* const stats = call.out[0].elements.data() + row * 3;
    stats[0] = -INFINITY;
    for (std::size_t i = 0; i < classes_of(call); ++i) {
      stats[0] = std::fmax(stats[0], logits[i]);
      if (labels[row] == static_cast<double>(call.attrs().integer("offset")) + static_cast<double>(i)) {
        stats[2] = logits[i];
      }
    }
    for (std::size_t i = 0; i < classes_of(call); ++i) stats[1] += std::exp(logits[i] - stats[0]);
  }
}

void cross_entropy_merge(const Call& call) {
  const auto& labels = call.in[1].elements;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    double sum = 0;
    double of_label = 0;
    for (std::int64_t slice = 0; slice < call.in[0].shape[0]; ++slice) {
      const double* const stats =
          call.in[0].elements.data() + (static_cast<std::size_t>(slice) * labels.size() + row) * 3;
      sum += stats[1] * std::exp(stats[0]);
      of_label += stats[2];
    }
    call.out[1].elements[row] = std::log(sum);
    if (labels[row] != kIgnored) call.out[0].elements[0] += scale_of(call) * (std::log(sum) - of_label);
  }
}

void cross_entropy_grad(const Call& call) {
  const auto& labels = call.in[1].elements;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    if (labels[row] == kIgnored) continue;
    for (std::size_t i = 0; i < classes_of(call); ++i) {
      const std::size_t element = row * classes_of(call) + i;
      const double number = static_cast<double>(call.attrs().integer("offset")) + static_cast<double>(i);
      const double probability = std::exp(call.in[0].elements[element] - call.in[2].elements[row]);
      call.out[0].elements[element] = scale_of(call) * (probability - (labels[row] == number ? 1 : 0));
    }
  }
}

void mean_squared_error(const Call& call) {
  for (std::size_t i = 0; i < call.in[0].elements.size(); ++i) {
    call.out[0].elements[0] += scale_of(call) * std::pow(call.in[0].elements[i] - call.in[1].elements[i], 2);
  }
}

void mean_squared_error_grad(const Call& call) {
  for (std::size_t i = 0; i < call.in[0].elements.size(); ++i) {
    call.out[0].elements[i] = 2 * scale_of(call) * (call.in[0].elements[i] - call.in[1].elements[i]);
  }
}

void weighted_loss(const Call& call) { call.out[0].elements[0] = scale_of(call) * call.in[0].elements[0]; }
void weighted_loss_grad(const Call& call) { call.out[0].elements[0] = scale_of(call); }

/// Whether element `element` of sample `sample` of the whole tensor is kept: kernels/dropout.h has the rule.
bool is_kept(const Call& call, std::int64_t sample, std::int64_t element) {
  const StepState& state = call.step.state;
  const auto low = [](auto number) { return static_cast<std::uint32_t>(number); };
  const PhiloxBlock words =
      philox4x32({low(element / 4), low(sample), low(state.step), low(call.attrs().integer("site"))},
                 {low(state.seed), low(state.seed >> 32)});
  return words[static_cast<std::size_t>(element % 4)] >= low(call.attrs().real("ratio") * 4294967296.0);
}

/// Place along the whole dim of place `place` of a shard {dim, outer, units, inner, begin, end}.
std::int64_t place_in_whole(std::span<const std::int64_t> shard, std::int64_t place) {
  const auto [units, inner, begin, kept] = std::tuple(shard[2], shard[3], shard[4], shard[5] - shard[4]);
  return (place / (kept * inner) * units + begin + place / inner % kept) * inner + place % inner;
}

void dropout(const Call& call) {
  const Tensor64& x = call.in[0];
  const auto shard = call.attrs().integers("shard");
  const int dim = shard.empty() ? 0 : x.shape.normalize(shard[0]);
  const Shape whole = shard.empty() ? x.shape : with_extent(x.shape, dim, shard[1] * shard[2] * shard[3]);
  for_each(x.shape, [&](const Index& i) {
    Index place = i;
    if (!shard.empty()) {
      auto& along = place[static_cast<std::size_t>(dim)];
      along = place_in_whole(shard, along);
    }
    const std::int64_t rows = call.attrs().integer("sample_rows", 1);
    std::int64_t element = i[0] % rows;
    for (int d = 1; d < whole.rank(); ++d) element = element * whole[d] + place[static_cast<std::size_t>(d)];
    const bool kept = is_kept(call, call.step.first_sample + i[0] / rows, element);
    at(call.out[0], i) = kept ? at(x, i) / (1 - call.attrs().real("ratio")) : 0;
  });
}

}  // namespace

void add_loss(Rules& rules) {
  rules["CrossEntropy"] = cross_entropy;
  rules["CrossEntropyStats"] = cross_entropy_stats;
  rules["CrossEntropyMerge"] = cross_entropy_merge;
  rules["CrossEntropyGrad"] = cross_entropy_grad;
  rules["MeanSquaredError"] = mean_squared_error;
  rules["MeanSquaredErrorGrad"] = mean_squared_error_grad;
  rules["WeightedLoss"] = weighted_loss;
  rules["WeightedLossGrad"] = weighted_loss_grad;
  rules["Dropout"] = dropout;
  rules["DropoutGrad"] = dropout;
}

}  // namespace dml::reference
