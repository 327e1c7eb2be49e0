#include "models/trainable.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.h"
#include "models/op.h"

namespace dml {
namespace {

constexpr float kMasked = -1e4F;

bool is_any_of(std::string_view op, std::initializer_list<std::string_view> ops) {
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

/// For each value whether a gradient comes to it from `target`.
std::vector<bool> reached_by_gradient(const Graph& graph, ValueId target) {
  std::vector<bool> reached(static_cast<std::size_t>(graph.num_values()), false);
  reached[static_cast<std::size_t>(target)] = true;
  for (NodeId id = graph.num_nodes() - 1; id >= 0; --id) {
    const Node& node = graph.node(id);
    if (node.op->gradient == nullptr) continue;
    const bool flows = std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId output) {
      return reached[static_cast<std::size_t>(output)] && is_float(graph.value(output).dtype);
    });
    if (!flows) continue;
    for (const ValueId input : node.inputs) {
      if (input != kNone && is_float(graph.value(input).dtype)) reached[static_cast<std::size_t>(input)] = true;
    }
  }
  return reached;
}

/// For each value whether it comes to a Softmax by being moved, added or chosen, not multiplied into something.
std::vector<bool> reaching_softmax(const Graph& graph) {
  std::vector<bool> reaches(static_cast<std::size_t>(graph.num_values()), false);
  for (NodeId id = graph.num_nodes() - 1; id >= 0; --id) {
    const Node& node = graph.node(id);
    const bool is_end = is_any_of(node.op->name, {"Softmax", "LogSoftmax"});
    const bool is_way = is_any_of(node.op->name, {"Add", "Sub", "Where", "Reshape", "Transpose", "Expand", "Slice",
                                                  "Cast", "Concat", "Split", "Gather", "Mul", "Div"});
    const bool leads = is_way && std::any_of(node.outputs.begin(), node.outputs.end(),
                                             [&](ValueId output) { return reaches[static_cast<std::size_t>(output)]; });
    if (!is_end && !leads) continue;
    for (const ValueId input : node.inputs) {
      if (input != kNone) reaches[static_cast<std::size_t>(input)] = true;
    }
  }
  return reaches;
}

bool has_masked_entry(const Value& value) {
  if (value.source == nullptr) return false;
  std::vector<float> elements(static_cast<std::size_t>(value.shape.num_elements()));
  value.source->read_all_f32(elements.data());
  return std::any_of(elements.begin(), elements.end(), [](float element) { return element <= kMasked; });
}

/// What the parameter is read by, seen through nodes that only move or scale it by constants.
class Uses {
 public:
  explicit Uses(const Graph& graph) : graph_(graph), consumers_(graph.consumers()) {}

  bool is_read(ValueId id) const { return !consumers_[id].empty(); }

  /// Whether it is weight, bias or scale of a matrix product, convolution or normalization.
  bool is_weight(ValueId id) const {
    for (const NodeId consumer : consumers_[id]) {
      const Node& node = graph_.node(consumer);
      if (is_any_of(node.op->name, {"MatMul", "Conv", "LayerNorm", "BatchNorm"})) return true;
      if (node.op->name == "Add" && is_bias(node, id)) return true;
      const bool moves = is_any_of(node.op->name, {"Reshape", "Transpose", "Expand", "Cast"}) || is_beta(node, id);
      if (moves && is_weight(node.outputs[0])) return true;
    }
    return false;
  }

 private:
  /// C of a Gemm, whose lowering names the product GEMM/.. and the sum GEMM; or the vector [1] on a product's only
  /// column.
  bool is_bias(const Node& add, ValueId bias) const {
    const ValueId other = add.inputs[0] == bias ? add.inputs[1] : add.inputs[0];
    const NodeId producer = graph_.value(other).producer;
    if (producer == kNone || graph_.node(producer).op->name != "MatMul") return false;
    const bool is_column = graph_.shape(bias) == Shape{1} && graph_.shape(other).back() == 1;
    return is_column || graph_.node(producer).name.starts_with(add.name + "/");
  }

  bool is_beta(const Node& node, ValueId id) const {
    if (node.op->name != "Mul") return false;
    const ValueId other = node.inputs[0] == id ? node.inputs[1] : node.inputs[0];
    return graph_.value(other).role == Role::constant && graph_.shape(other).num_elements() == 1;
  }

  const Graph& graph_;
  Consumers consumers_;
};

bool matches_any(std::span<const std::string> globs, const std::string& name) {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) { return matches_glob(glob, name); });
}

struct Decision {
  bool trains = false;
  std::string reason;  ///< empty where it goes without saying
};

class Judge {
 public:
  Judge(const Graph& graph, std::span<const std::string> train, std::span<const std::string> freeze)
      : graph_(graph),
        train_(train),
        freeze_(freeze),
        reached_(reached_by_gradient(graph, graph.loss != kNone ? graph.loss : graph.output)),
        reaches_softmax_(reaching_softmax(graph)),
        uses_(graph) {}

  Decision decide(ValueId id) const {
    const Value& value = graph_.value(id);
    if (matches_any(freeze_, value.name)) return {false, "frozen by --freeze"};
    if (!uses_.is_read(id)) return {false, "nothing reads it"};
    if (!reached_[static_cast<std::size_t>(id)]) return {false, "no gradient reaches it"};
    if (matches_any(train_, value.name)) return {true, "by --train"};
    if (reaches_softmax_[static_cast<std::size_t>(id)] && has_masked_entry(value)) return {false, "a mask"};
    if (value.shape.num_elements() > 1) return {true, {}};
    if (uses_.is_weight(id)) return {true, "one element, a weight or bias"};
    return {false, "one element, not a weight or bias"};
  }

 private:
  const Graph& graph_;
  std::span<const std::string> train_, freeze_;
  std::vector<bool> reached_, reaches_softmax_;
  Uses uses_;
};

}  // namespace

// The last * is the only one that has to be given up to: everything before it is matched already.
bool matches_glob(std::string_view glob, std::string_view name) {
  std::size_t at = 0;
  std::size_t in = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_in = 0;
  while (in < name.size()) {
    if (at < glob.size() && glob[at] == '*') {
      star = at++;
      star_in = in;
    } else if (at < glob.size() && (glob[at] == '?' || glob[at] == name[in])) {
      ++at;
      ++in;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in = ++star_in;
    } else {
      return false;
    }
  }
  while (at < glob.size() && glob[at] == '*') ++at;
  return at == glob.size();
}

void check_globs(const Graph& graph, std::span<const std::string> globs, const std::string& option) {
  for (const std::string& glob : globs) {
    const bool found = std::any_of(graph.values().begin(), graph.values().end(), [&](const Value& value) {
      return value.role == Role::parameter && matches_glob(glob, value.name);
    });
    if (!found) throw ModelError(fmt::format("{} {} matches no weight of the model", option, glob));
  }
}

std::vector<std::string> choose_trainable(Graph& graph, std::span<const std::string> train,
                                          std::span<const std::string> freeze) {
  check_globs(graph, train, "--train");
  check_globs(graph, freeze, "--freeze");
  std::vector<std::string> notes;
  std::vector<ValueId> left_out;
  bool trains_any = false;
  const Judge judge(graph, train, freeze);
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    if (graph.value(id).role != Role::parameter) continue;
    const auto [trains, reason] = judge.decide(id);
    trains_any = trains_any || trains;
    if (!trains) left_out.push_back(id);
    if (reason.empty()) continue;
    notes.push_back(graph.value(id).name + " [" + graph.shape(id).to_string() + "] " +
                    (trains ? "trains" : "does not train") + ": " + reason);
  }
  if (!trains_any) throw ModelError("nothing in the model trains: no gradient reaches a weight that may");
  for (const ValueId id : left_out) graph.value(id).role = Role::constant;
  return notes;
}

}  // namespace dml
