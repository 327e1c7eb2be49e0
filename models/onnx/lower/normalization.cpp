// Lowering of layer and batch normalization. C channels.
#include <cmath>

#include "models/onnx/lower/lowering.h"

namespace dml {
namespace {

/// The value of a running statistic, which from now on moves without a gradient.
ValueId state_of(Lowering& lowering, std::size_t index) {
  const ValueId id = lowering.input(index);
  Value& value = lowering.graph.value(id);
  if (value.source == nullptr || lowering.initializer(index) == nullptr) {
    lowering.node.fail("its running statistic '" + value.name + "' is no initializer");
  }
  if (lowering.graph.next_state.contains(id)) {
    lowering.node.fail("its running statistic '" + value.name + "' is moved by another node already");
  }
  value.role = Role::state;
  return id;
}

// The ONNX text and PyTorch move the statistics alike, but for the variance (see BatchNorm in models/ops/README.md).
void lower_training(Lowering& lowering) {
  const ValueId mean = state_of(lowering, 3);
  const ValueId variance = state_of(lowering, 4);
  if (mean == variance) lowering.node.fail("its running mean and variance are one initializer");
  const Node& made =
      lowering.finish("BatchNorm", {lowering.input(0), lowering.input(1), lowering.input(2), mean, variance},
                      Attributes()
                          .set("epsilon", lowering.node.real("epsilon", 1e-5))
                          .set("momentum", lowering.node.real("momentum", 0.9)));
  const ValueId next_mean = made.outputs[3];
  const ValueId next_variance = made.outputs[4];
  lowering.graph.next_state[mean] = next_mean;
  lowering.graph.next_state[variance] = next_variance;
  lowering.bind(1, next_mean);
  lowering.bind(2, next_variance);
}

/// A vector over C as C x 1 x 1, so that it is broadcast against N x C x spatial.
ValueId as_channels(Lowering& lowering, std::size_t index, const Shape& shape, const std::string& suffix) {
  return lowering.emit("Reshape", {lowering.input(index)}, Attributes().set("shape", shape.to_vector()), suffix);
}

// y = (x - mean) / sqrt(variance + epsilon) · scale + bias; scale and bias can train, the statistics do not move.
void lower_inference(Lowering& lowering) {
  const Shape x = lowering.shape(0);
  if (x.rank() < 2) lowering.node.fail("its input " + x.to_string() + " has no channels");
  Shape channels{x[1]};
  for (int dim = 2; dim < x.rank(); ++dim) channels.push_back(1);
  Literal mean = lowering.literal(3);
  Literal factor = lowering.literal(4);
  if (mean.num_elements() != x[1] || factor.num_elements() != x[1] || !mean.is_real() || !factor.is_real()) {
    lowering.node.fail("its statistics are " + mean.shape.to_string() + " and " + factor.shape.to_string() +
                       ", wants " + std::to_string(x[1]) + " floats");
  }
  const double epsilon = lowering.node.real("epsilon", 1e-5);
  for (double& variance : factor.reals) variance = 1 / std::sqrt(variance + epsilon);
  mean.shape = factor.shape = channels;
  const ValueId centred = lowering.emit("Sub", {lowering.input(0), lowering.constant("mean", mean)}, {}, "centred");
  const ValueId normal = lowering.emit("Mul", {centred, lowering.constant("rstd", factor)}, {}, "normal");
  const ValueId scale = as_channels(lowering, 1, channels, "scale");
  const ValueId scaled = lowering.emit("Mul", {normal, scale}, {}, "scaled");
  lowering.finish("Add", {scaled, as_channels(lowering, 2, channels, "bias")});
}

}  // namespace

void lower_layer_normalization(Lowering& lowering) {
  if (lowering.node.has_output(1) || lowering.node.has_output(2)) {
    lowering.node.fail("its mean or deviation is read, which is not supported");
  }
  const std::int64_t axis = lowering.shape(0).normalize(lowering.node.integer("axis", -1));
  lowering.finish("LayerNorm", {lowering.input(0), lowering.input(1), lowering.optional_input(2)},
                  Attributes().set("axis", axis).set("epsilon", lowering.node.real("epsilon", 1e-5)));
}

void lower_batch_normalization(Lowering& lowering) {
  if (lowering.node.integer("training_mode", 0) != 0) {
    lower_training(lowering);
  } else {
    lower_inference(lowering);
  }
}

}  // namespace dml
