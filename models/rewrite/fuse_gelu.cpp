#include <cmath>
#include <numbers>

#include "models/op.h"
#include "models/rewrite/match.h"
#include "models/rewrite/passes.h"

namespace dml {
namespace {

constexpr double kCubic = 0.044715;

/// Whether the value is `constant` · x^power.
bool is_power_of(const Matcher& matcher, ValueId value, ValueId x, std::size_t power, double constant) {
  const Product product = matcher.product_of(value);
  if (!is_close(product.constant, constant) || product.factors.size() != power) return false;
  for (const ValueId factor : product.factors) {
    if (factor != x) return false;
  }
  return true;
}

/// x + 0.044715 x^3
bool is_cubic(const Matcher& matcher, ValueId value, ValueId x) {
  const Node* add = matcher.producer(value, "Add");
  if (add == nullptr || !matcher.is_internal(value)) return false;
  const auto [a, b] = std::pair(add->inputs[0], add->inputs[1]);
  return (a == x && is_power_of(matcher, b, x, 3, kCubic)) || (b == x && is_power_of(matcher, a, x, 3, kCubic));
}

/// 1 + 0.044715 x^2
bool is_square(const Matcher& matcher, ValueId value, ValueId x) {
  const Node* add = matcher.producer(value, "Add");
  if (add == nullptr || !matcher.is_internal(value)) return false;
  const auto sum = matcher.with_constant(*add);
  return sum && sum->constant == 1 && is_power_of(matcher, sum->other, x, 2, kCubic);
}

/// sqrt(2/pi) (x + 0.044715 x^3), as a sum or with x taken out of it
bool is_tanh_argument(const Matcher& matcher, ValueId value, ValueId x) {
  const Product product = matcher.product_of(value);
  if (!is_close(product.constant, std::sqrt(2 * std::numbers::inv_pi))) return false;
  const auto& factors = product.factors;
  if (factors.size() == 1) return is_cubic(matcher, factors[0], x);
  return factors.size() == 2 && ((factors[0] == x && is_square(matcher, factors[1], x)) ||
                                 (factors[1] == x && is_square(matcher, factors[0], x)));
}

/// "none" where the value is 1 + erf(x / sqrt 2), "tanh" where it is 1 + tanh(...), else empty.
std::string form_of_gate(const Matcher& matcher, ValueId value, ValueId x) {
  const Node* add = matcher.producer(value, "Add");
  if (add == nullptr || !matcher.is_internal(value)) return {};
  const auto sum = matcher.with_constant(*add);
  if (!sum || sum->constant != 1 || !matcher.is_internal(sum->other)) return {};
  if (const Node* erf = matcher.producer(sum->other, "Erf")) {
    return is_power_of(matcher, erf->inputs[0], x, 1, std::numbers::sqrt2 / 2) ? "none" : "";
  }
  if (const Node* tanh = matcher.producer(sum->other, "Tanh")) {
    return is_tanh_argument(matcher, tanh->inputs[0], x) ? "tanh" : "";
  }
  return {};
}

}  // namespace

void fuse_gelu(Graph& graph) {
  const Matcher matcher(graph);
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    const Node& root = graph.node(id);
    if (root.op->name != "Mul" && root.op->name != "Div") continue;
    const Product product = matcher.product_of(root.outputs[0]);
    if (product.factors.size() != 2 || !is_close(product.constant, 0.5)) continue;
    for (const std::size_t index : {std::size_t{0}, std::size_t{1}}) {
      const ValueId x = product.factors[index];
      const std::string form = form_of_gate(matcher, product.factors[1 - index], x);
      if (form.empty() || graph.shape(x) != graph.shape(root.outputs[0])) continue;
      Node& gelu = graph.node(id);
      gelu.op = op("Gelu");
      gelu.inputs = {x};
      gelu.attrs = Attributes().set("approximate", form);
      break;
    }
  }
}

}  // namespace dml
