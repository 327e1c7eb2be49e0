// A decoder of GPT-2's build: pre-layer-norm blocks, learned positions, separate q, k, v, GELU in its erf form.
// T tokens, C channels, H heads, D = C / H, V vocabulary.
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "kernels/error.h"
#include "models/zoo/model_builder.h"

namespace dml {
namespace {

constexpr double kDeviation = 0.02;
constexpr float kEpsilon = 1e-5F;

struct GptShape {
  std::int64_t layers, C, H, T, V;
  bool tied, bias;
  double dropout;
};

class GptBuilder {
 public:
  GptBuilder(const std::string& name, const GptShape& shape) : b_(name), s_(shape) {}

  ZooModel build() {
    const std::string tokens = b_.input("tokens", DataType::i64, {s_.T});
    const auto normal = InitialWeights::normal(kDeviation);
    const std::string table = b_.weight("/tok", "weight", Shape{s_.V, s_.C}, normal);
    const std::string positions = b_.weight("/pos", "weight", Shape{s_.T, s_.C}, normal);
    const std::string embedded = b_.node("Gather", "/tok", {table, tokens});
    std::string x = dropout("", b_.node("Add", "", {embedded, positions}));
    mask_ = causal_mask("/mask");
    for (std::int64_t i = 0; i < s_.layers; ++i) x = block(fmt::format("/blocks.{}", i), x);
    x = layer_norm("/norm", x);
    const std::string head =
        s_.tied ? b_.transpose("/head", table, {1, 0}) : b_.weight("/head", "weight", Shape{s_.C, s_.V}, normal);
    b_.output(b_.node("MatMul", "/head", {x, head}), "logits", {s_.T, s_.V});
    return b_.take();
  }

 private:
  using Text = const std::string&;

  std::string block(Text scope, Text x) {
    const std::string attended = dropout(scope + "/attn", attention(scope + "/attn", layer_norm(scope + "/ln1", x)));
    const std::string h = b_.node("Add", scope, {x, attended});
    const std::string mlp = scope + "/mlp";
    const std::string wide =
        gelu(mlp + "/gelu", linear(mlp + "/up", layer_norm(scope + "/ln2", h), s_.C, 4 * s_.C, kDeviation));
    return b_.node("Add", scope, {h, dropout(mlp, linear(mlp + "/down", wide, 4 * s_.C, s_.C, residual_deviation()))});
  }

  std::string attention(Text scope, Text x) {
    const std::string q = heads(scope, linear(scope + "/q", x, s_.C, s_.C, kDeviation), {0, 2, 1, 3});  // [B,H,T,D]
    const std::string k = heads(scope, linear(scope + "/k", x, s_.C, s_.C, kDeviation), {0, 2, 3, 1});  // [B,H,D,T]
    const std::string v = heads(scope, linear(scope + "/v", x, s_.C, s_.C, kDeviation), {0, 2, 1, 3});
    const float scale = 1 / std::sqrt(static_cast<float>(s_.C / s_.H));
    const std::string scores = b_.node("Mul", scope, {b_.node("MatMul", scope, {q, k}), b_.scalar(scope, scale)});
    const std::string weights = b_.node("Softmax", scope, {b_.node("Add", scope, {scores, mask_})});
    set_attribute(b_.last(), "axis", std::int64_t{-1});
    const std::string mixed = b_.transpose(scope, b_.node("MatMul", scope, {weights, v}), {0, 2, 1, 3});
    return linear(scope + "/proj", b_.reshape(scope, mixed, {0, s_.T, s_.C}), s_.C, s_.C, residual_deviation());
  }

  std::string heads(Text scope, Text x, const std::vector<std::int64_t>& perm) {
    return b_.transpose(scope, b_.reshape(scope, x, {0, s_.T, s_.H, s_.C / s_.H}), perm);
  }

  /// [1,1,T,T]: 0 where a token may look, -inf above the diagonal. Folded when the model is read.
  std::string causal_mask(Text scope) {
    const std::string ones =
        b_.node("Expand", scope, {b_.boolean(scope, true), b_.integers(scope, {1, 1, s_.T, s_.T})});
    const std::string lower = b_.node("Trilu", scope, {ones});
    set_attribute(b_.last(), "upper", std::int64_t{0});
    const float never = -std::numeric_limits<float>::infinity();
    return b_.node("Where", scope, {lower, b_.scalar(scope, 0), b_.scalar(scope, never)});
  }

  std::string linear(Text scope, Text x, std::int64_t in, std::int64_t out, double deviation) {
    const std::string w = b_.weight(scope, "weight", Shape{in, out}, InitialWeights::normal(deviation));
    const std::string y = b_.node("MatMul", scope, {x, w});
    if (!s_.bias) return y;
    return b_.node("Add", scope, {y, b_.weight(scope, "bias", Shape{out}, InitialWeights::constant(0))});
  }

  std::string layer_norm(Text scope, Text x) {
    const std::string scale = b_.weight(scope, "weight", Shape{s_.C}, InitialWeights::constant(1));
    const std::string bias = b_.weight(scope, "bias", Shape{s_.C}, InitialWeights::constant(0));
    std::string y = b_.node("LayerNormalization", scope, {x, scale, bias});
    set_attribute(b_.last(), "axis", std::int64_t{-1});
    set_attribute(b_.last(), "epsilon", kEpsilon);
    return y;
  }

  /// x/2 (1 + erf(x / sqrt 2)), operation by operation as PyTorch's exporter writes it: Gelu exists from opset 20 on.
  std::string gelu(Text scope, Text x) {
    const auto root = static_cast<float>(std::numbers::sqrt2);
    const std::string erf = b_.node("Erf", scope, {b_.node("Div", scope, {x, b_.scalar(scope, root)})});
    const std::string twice = b_.node("Mul", scope, {x, b_.node("Add", scope, {erf, b_.scalar(scope, 1)})});
    return b_.node("Mul", scope, {twice, b_.scalar(scope, 0.5F)});
  }

  std::string dropout(Text scope, Text x) {
    if (s_.dropout == 0) return x;
    return b_.node("Dropout", scope, {x, b_.scalar(scope, static_cast<float>(s_.dropout)), b_.boolean(scope, true)});
  }

  /// Of projections that end on the residual stream, which 2 per layer add to (GPT-2, section 2.3).
  double residual_deviation() const { return kDeviation / std::sqrt(2.0 * static_cast<double>(s_.layers)); }

  ModelBuilder b_;
  GptShape s_;
  std::string mask_;
};

}  // namespace

ZooModel make_gpt(const ModelSpec& spec) {
  constexpr std::int64_t kMost = 1 << 20;
  GptShape shape{};
  shape.layers = spec.integer("layers", 1, 10'000);
  shape.C = spec.integer("width", 1, kMost);
  shape.H = spec.integer("heads", 1, kMost);
  shape.T = spec.integer("seq", 1, kMost);
  shape.V = spec.integer("vocab", 1, std::int64_t{1} << 31);
  shape.tied = spec.flag("tied");
  shape.bias = spec.flag("bias");
  shape.dropout = spec.fraction("dropout");
  if (shape.C % shape.H != 0) {
    throw ModelError(fmt::format("{}: width={} is not a multiple of heads={}", spec.name(), shape.C, shape.H));
  }
  return GptBuilder(spec.name(), shape).build();
}

}  // namespace dml
