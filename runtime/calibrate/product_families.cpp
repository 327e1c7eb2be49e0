// Families whose time is arithmetic: products, convolutions, attention.
#include <cmath>
#include <cstdint>
#include <string>

#include "runtime/calibrate/kernel_families.h"
#include "runtime/calibrate/operands.h"

namespace dml {
namespace {

// M, N, K: rows of a microbatch and widths of layers, or (weight gradients) the other way round.
const std::vector<double> kExtents = {8, 32, 128, 512, 1536};

constexpr double kProductUnused = 0.5;
constexpr double kAttentionUnused = 0;

std::int64_t whole(double size) { return std::llround(size); }

template <bool kTransA, bool kTransB>
Graph product(std::span<const double> sizes) {
  const std::int64_t m = whole(sizes[0]);
  const std::int64_t n = whole(sizes[1]);
  const std::int64_t k = whole(sizes[2]);
  Operands operands;
  operands.add(kTransA ? Shape{k, m} : Shape{m, k});
  operands.add(kTransB ? Shape{n, k} : Shape{k, n});
  return operands.node(
      "MatMul",
      Attributes().set("trans_a", std::int64_t{kTransA ? 1 : 0}).set("trans_b", std::int64_t{kTransB ? 1 : 0}));
}

Graph batched_product(std::span<const double> sizes) {
  const std::int64_t matrices = whole(sizes[0]);
  Operands operands;
  operands.add({matrices, whole(sizes[1]), whole(sizes[3])});
  operands.add({matrices, whole(sizes[3]), whole(sizes[2])});
  return operands.node("MatMul", {});
}

// Images of 8 x 8 pixels, which windows of 3 x 3 or 1 x 1 leave as they are.
constexpr std::int64_t kConvSide = 8;
const std::vector<double> kPixels = {64, 512, 4096};
const std::vector<double> kChannels = {16, 64, 256};
const std::vector<double> kWindowProducts = {9 * 16, 9 * 64, 9 * 256};

template <std::int64_t kWindow>
struct Convolution {
  Shape x, w, y;
  Attributes attrs;

  explicit Convolution(std::span<const double> sizes) {
    const std::int64_t samples = std::max<std::int64_t>(whole(sizes[0]) / (kConvSide * kConvSide), 1);
    const std::int64_t in_channels = whole(sizes[2]) / (kWindow * kWindow);
    const std::int64_t out_channels = whole(sizes[1]);
    x = {samples, in_channels, kConvSide, kConvSide};
    w = {out_channels, in_channels, kWindow, kWindow};
    y = {samples, out_channels, kConvSide, kConvSide};
    attrs.set("strides", std::vector<std::int64_t>{1, 1})
        .set("pads", std::vector<std::int64_t>(4, kWindow / 2))
        .set("dilations", std::vector<std::int64_t>{1, 1})
        .set("group", std::int64_t{1});
  }
};

template <std::int64_t kWindow>
Graph convolution(std::span<const double> sizes) {
  const Convolution<kWindow> c(sizes);
  return Operands().add(c.x).add(c.w).node("Conv", c.attrs);
}

template <std::int64_t kWindow>
Graph convolution_input_grad(std::span<const double> sizes) {
  Convolution<kWindow> c(sizes);
  return Operands().add(c.y).add(c.w).node("ConvInputGrad", c.attrs.set("shape", c.x.to_vector()));
}

template <std::int64_t kWindow>
Graph convolution_weight_grad(std::span<const double> sizes) {
  Convolution<kWindow> c(sizes);
  return Operands().add(c.y).add(c.x).node("ConvWeightGrad", c.attrs.set("shape", c.w.to_vector()));
}

constexpr std::int64_t kHeadsPerSample = 4;
const std::vector<double> kHeads = {4, 16, 64};
const std::vector<double> kTokens = {16, 64, 256};
const std::vector<double> kWidths = {16, 32, 64};

struct AttentionShapes {
  Shape q;  ///< also of k, v and the output
  Shape lse;
  Attributes attrs;

  AttentionShapes(std::span<const double> sizes, bool causal) {
    const std::int64_t heads = std::min(kHeadsPerSample, whole(sizes[0]));
    const std::int64_t samples = whole(sizes[0]) / heads;
    q = {samples, whole(sizes[1]), heads * whole(sizes[2])};
    lse = {samples, heads, whole(sizes[1])};
    attrs.set("heads", heads).set("scale", 1.0 / sizes[2]).set("causal", std::int64_t{causal ? 1 : 0});
  }
};

template <bool kCausal>
Graph attention(std::span<const double> sizes) {
  const AttentionShapes shapes(sizes, kCausal);
  return Operands().add(shapes.q).add(shapes.q).add(shapes.q).node("Attention", shapes.attrs);
}

template <bool kCausal>
Graph attention_grad(std::span<const double> sizes) {
  const AttentionShapes shapes(sizes, kCausal);
  Operands operands;
  operands.add(shapes.q).add(shapes.q).add(shapes.q).add(shapes.q);
  return operands.skip().add(shapes.q).add(shapes.lse).node("AttentionGrad", shapes.attrs);
}

}  // namespace

std::vector<KernelFamily> product_families() {
  return {
      {"MatMul", {kExtents, kExtents, kExtents}, product<false, false>, kProductUnused},
      {"MatMul.tb", {kExtents, kExtents, kExtents}, product<false, true>, kProductUnused},
      {"MatMul.ta", {kExtents, kExtents, kExtents}, product<true, false>, kProductUnused},
      {"MatMul.batched", {{4, 32}, {16, 64, 256}, {16, 64, 256}, {16, 64, 256}}, batched_product, kProductUnused},
      {"Conv", {kPixels, kChannels, kWindowProducts}, convolution<3>, kProductUnused},
      {"ConvInputGrad", {kPixels, kChannels, kWindowProducts}, convolution_input_grad<3>, kProductUnused},
      {"ConvWeightGrad", {kPixels, kChannels, kWindowProducts}, convolution_weight_grad<3>, kProductUnused},
      {"Conv.1x1", {kPixels, kChannels, kChannels}, convolution<1>, kProductUnused},
      {"ConvInputGrad.1x1", {kPixels, kChannels, kChannels}, convolution_input_grad<1>, kProductUnused},
      {"ConvWeightGrad.1x1", {kPixels, kChannels, kChannels}, convolution_weight_grad<1>, kProductUnused},
      {"Attention", {kHeads, kTokens, kWidths}, attention<false>, kAttentionUnused},
      {"Attention.causal", {kHeads, kTokens, kWidths}, attention<true>, kAttentionUnused},
      {"AttentionGrad", {kHeads, kTokens, kWidths}, attention_grad<false>, kAttentionUnused},
      {"AttentionGrad.causal", {kHeads, kTokens, kWidths}, attention_grad<true>, kAttentionUnused},
  };
}

}  // namespace dml
