// Families on rows of any length: Softmax, LayerNorm, CrossEntropy, BatchNorm and their gradients.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "runtime/calibrate/kernel_families.h"
#include "runtime/calibrate/operands.h"

namespace dml {
namespace {

const std::vector<double> kRowCounts = {4, 32, 256, 2048};
const std::vector<double> kRowLengths = {8, 32, 128, 512, 2048};

// Of BatchNorm a row is a channel of an image.
constexpr std::int64_t kNormalizedChannels = 16;
const std::vector<double> kImageCounts = {16, 128, 1024};
const std::vector<double> kImageLengths = {4, 32, 256, 2048};

constexpr double kLayerNormUnused = 0.5;

Shape matrix(std::span<const double> sizes) { return {std::llround(sizes[0]), std::llround(sizes[1])}; }

Attributes along_rows() { return Attributes().set("axis", std::int64_t{1}).set("epsilon", 1e-5); }

Graph softmax(std::span<const double> sizes) { return Operands().add(matrix(sizes)).node("Softmax", along_rows()); }

Graph softmax_grad(std::span<const double> sizes) {
  return Operands().add(matrix(sizes)).add(matrix(sizes)).node("SoftmaxGrad", along_rows());
}

Graph layer_norm(std::span<const double> sizes) {
  const Shape x = matrix(sizes);
  return Operands().add(x).add({x[1]}).add({x[1]}).node("LayerNorm", along_rows());
}

Graph layer_norm_grad(std::span<const double> sizes) {
  const Shape x = matrix(sizes);
  return Operands().add(x).add(x).add({x[1]}).add({x[0]}).add({x[0]}).node("LayerNormGrad", along_rows());
}

Graph layer_norm_param_grad(std::span<const double> sizes) {
  const Shape x = matrix(sizes);
  return Operands().add(x).add(x).add({x[0]}).add({x[0]}).node("LayerNormParamGrad", along_rows());
}

/// With labels, which need as many classes as indices have values.
Operands logits(const Shape& x) { return Operands().add(x).add({x[0]}, DataType::i64); }

Graph cross_entropy(std::span<const double> sizes) { return logits(matrix(sizes)).node("CrossEntropy", {}); }

Graph cross_entropy_grad(std::span<const double> sizes) {
  const Shape x = matrix(sizes);
  return logits(x).add({x[0]}).node("CrossEntropyGrad", {});
}

Shape normalized_images(std::span<const double> sizes) {
  return {std::max<std::int64_t>(std::llround(sizes[0] / kNormalizedChannels), 1), kNormalizedChannels,
          std::llround(sizes[1])};
}

Graph batch_norm(std::span<const double> sizes) {
  Operands operands;
  operands.add(normalized_images(sizes));
  for (int i = 0; i < 4; ++i) operands.add({kNormalizedChannels});
  return operands.node("BatchNorm", Attributes().set("epsilon", 1e-5).set("momentum", 0.1));
}

Graph batch_norm_grad(std::span<const double> sizes) {
  const Shape x = normalized_images(sizes);
  Operands operands;
  operands.add(x).add(x);
  for (int i = 0; i < 3; ++i) operands.add({kNormalizedChannels});
  return operands.node("BatchNormGrad", Attributes().set("epsilon", 1e-5));
}

}  // namespace

std::vector<KernelFamily> row_families() {
  return {
      {"Softmax", {kRowCounts, kRowLengths}, softmax},
      {"SoftmaxGrad", {kRowCounts, kRowLengths}, softmax_grad},
      {"LayerNorm", {kRowCounts, kRowLengths}, layer_norm, kLayerNormUnused},
      {"LayerNormGrad", {kRowCounts, kRowLengths}, layer_norm_grad},
      {"LayerNormParamGrad", {kRowCounts, kRowLengths}, layer_norm_param_grad},
      {"CrossEntropy", {kRowCounts, kRowLengths}, cross_entropy},
      {"CrossEntropyGrad", {kRowCounts, kRowLengths}, cross_entropy_grad},
      {"BatchNorm", {kImageCounts, kImageLengths}, batch_norm},
      {"BatchNormGrad", {kImageCounts, kImageLengths}, batch_norm_grad},
  };
}

}  // namespace dml
