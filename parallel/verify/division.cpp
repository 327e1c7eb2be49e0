#include "parallel/verify/division.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/index.h"
#include "models/op.h"
#include "parallel/collective_node.h"
#include "parallel/tensor/rule.h"
#include "parallel/verify/epilogue_parts.h"

namespace dml {
namespace {

/// What a value of the divided graph is.
struct Meaning {
  enum class Form : std::uint8_t {
    unknown,         ///< nothing that can be used
    placed,          ///< `of` in placement `sharding`
    blocks,          ///< all shards of `of`, divided as `sharding`, one behind the other
    row_numbers,     ///< of a cross entropy over divided classes: this rank's maximum, sum and picked logit of each row
    all_row_numbers  ///< those of all ranks
  };
  Form form = Form::unknown;
  ValueId of = kNone;
  Sharding sharding = {};
};

using Form = Meaning::Form;

/// True where the dim can be read as the division says.
bool divides(const Shape& shape, const Sharding& s) {
  return !s.is_shard() || (s.dim >= 0 && s.dim < shape.rank() && s.units > 0 && shape[s.dim] == s.extent());
}

bool allows(const Strategy& strategy, const RuleContext& context, std::span<const Sharding> outputs) {
  if (!std::equal(outputs.begin(), outputs.end(), strategy.outputs.begin(), strategy.outputs.end())) return false;
  for (std::size_t i = 0; i < context.node.inputs.size(); ++i) {
    if (context.has_input(i) && strategy.inputs.at(i) != context.inputs[i]) return false;
  }
  return true;
}

class DivisionProof {
 public:
  DivisionProof(const Graph& whole, const SplitGraph& split, TensorPlace place)
      : whole_(whole),
        split_(split),
        place_(place),
        meanings_(index(split.graph.num_values())),
        taken_(index(whole.num_nodes())),
        runs_(index(whole.num_nodes()), 0) {}

  std::vector<Finding> run() {
    if (split_.graph.num_values() < whole_.num_values() || split_.shards.size() != split_.graph.values().size() ||
        split_.origin.size() != split_.graph.nodes().size()) {
      findings_.push_back({"the divided graph has other values or nodes than the graph that it is said to divide"});
      return std::move(findings_);
    }
    for (ValueId id = 0; id < split_.graph.num_values(); ++id) read_source(id);
    for (NodeId id = 0; id < split_.graph.num_nodes(); ++id) read_node(id);
    for (NodeId id = 0; id < whole_.num_nodes(); ++id) {
      if (runs_[index(id)] != 1)
        report(whole_.node(id).name, fmt::format("is computed {} times in the divided graph", runs_[index(id)]));
    }
    check_results();
    return std::move(findings_);
  }

 private:
  void report(const std::string& where, std::string what) {
    findings_.push_back({fmt::format("tensor index {} of {}: {}", place_.index, place_.size, what), -1, -1, where});
  }

  const Meaning& meaning(ValueId id) const { return meanings_[index(id)]; }

  std::string text(const Meaning& m) const {
    switch (m.form) {
      case Form::unknown: return "nothing known";
      case Form::placed: return fmt::format("{} as {}", whole_.value(m.of).name, m.sharding.to_string());
      case Form::blocks: return fmt::format("blocks of {}", whole_.value(m.of).name);
      case Form::row_numbers: return fmt::format("row numbers of {}", whole_.value(m.of).name);
      case Form::all_row_numbers: return fmt::format("all row numbers of {}", whole_.value(m.of).name);
    }
    return "?";
  }

  /// Fed values are whole on every rank, weights and constants may be divided, and nothing begins as addends.
  void read_source(ValueId id) {
    const Value& value = split_.graph.value(id);
    if (value.producer != kNone || value.role == Role::activation) return;
    const ShardSpec& shard = split_.shards[index(id)];
    const ValueId of = id < whole_.num_values() ? id : whole_.find_value(shard.name);
    const bool fed = value.role == Role::input || value.role == Role::label;
    if (of == kNone || whole_.value(of).role != value.role || shard.sharding.is_partial() ||
        (fed && !shard.sharding.is_replicate())) {
      report(value.name, fmt::format("cannot begin as {}", shard.sharding.to_string()));
      return;
    }
    set(id, {Form::placed, of, shard.sharding});
  }

  /// Notes what a value is, and compares it with what the division says of it.
  void set(ValueId id, const Meaning& meaning) {
    meanings_[index(id)] = meaning;
    if (meaning.form != Form::placed) return;
    const Value& value = split_.graph.value(id);
    const ShardSpec& shard = split_.shards[index(id)];
    const Shape& whole = whole_.shape(meaning.of);
    if (shard.sharding != meaning.sharding)
      report(value.name, fmt::format("is {}, and filed as {}", text(meaning), shard.sharding.to_string()));
    if (shard.global_shape != whole)
      report(value.name,
             fmt::format("is a part of {}, and filed as one of {}", whole.to_string(), shard.global_shape.to_string()));
    if (!divides(whole, meaning.sharding)) {
      report(value.name, fmt::format("{} cannot be divided as {}", whole.to_string(), meaning.sharding.to_string()));
      meanings_[index(id)] = {};
    } else if (value.shape != local_shape(whole, meaning.sharding, place_)) {
      report(value.name,
             fmt::format("has shape {}, its part of {} as {} has {}", value.shape.to_string(), whole.to_string(),
                         meaning.sharding.to_string(), local_shape(whole, meaning.sharding, place_).to_string()));
    }
  }

  void read_node(NodeId id) {
    const Node& node = split_.graph.node(id);
    const std::string_view op = node.op->name;
    const bool moves = is_collective(node) || op == "ShardMerge" || op == "ShardSlice";
    if (moves) {
      read_move(node, op);
    } else if (op == "CrossEntropyStats") {
      read_row_numbers(node, split_.origin[index(id)]);
    } else if (op == "CrossEntropyMerge") {
      read_merged_rows(node, split_.origin[index(id)]);
    } else {
      read_parts(node, split_.origin[index(id)]);
    }
  }

  /// What lies between the operations of a node exists inside of it alone.
  void read_parts(const Node& node, NodeId origin) {
    const std::vector<OperationPart> parts = parts_of(whole_, split_.graph, node, origin);
    for (const OperationPart& part : parts) read_operation(part.node, part.origin);
    for (const OperationPart& part : parts) {
      for (const ValueId output : part.node.outputs) {
        if (std::ranges::find(node.outputs, output) == node.outputs.end()) meanings_[index(output)] = {};
      }
    }
  }

  void read_move(const Node& node, std::string_view op) {
    const Meaning& from = meaning(node.inputs[0]);
    Meaning to;
    if (op == "AllReduce") {
      if (from.form == Form::placed && from.sharding.is_partial()) to = {Form::placed, from.of, {}};
    } else if (op == "AllGather") {
      to = gathered(node, from);
    } else if (op == "ShardMerge") {
      const bool fits =
          from.form == Form::blocks && sharding_of(node) == from.sharding && node.attrs.integer("parts") == place_.size;
      if (fits) to = {Form::placed, from.of, {}};
    } else {
      const Sharding s = sharding_of(node);
      const bool sums = op == "ReduceScatter";
      const bool is_whole = sums ? from.sharding.is_partial() : from.sharding.is_replicate();
      const bool fits = from.form == Form::placed && is_whole &&
                        node.attrs.integer("begin") == part_begin(s.units, place_.size, place_.index) &&
                        node.attrs.integer("end") == part_begin(s.units, place_.size, place_.index + 1);
      if (fits) to = {Form::placed, from.of, s};
    }
    if (to.form == Form::unknown) report(node.name, fmt::format("{} of {}", op, text(from)));
    set(node.outputs[0], to);
  }

  static Sharding sharding_of(const Node& move) {
    return Sharding::shard(static_cast<int>(move.attrs.integer("dim")), move.attrs.integer("outer"),
                           move.attrs.integer("units"), move.attrs.integer("inner"));
  }

  Meaning gathered(const Node& node, const Meaning& from) const {
    const bool rows = from.form == Form::row_numbers;
    const bool shards = from.form == Form::placed && from.sharding.is_shard();
    if (!rows && !shards) return {};
    const auto counts = node.attrs.integers("counts");
    if (counts.size() != static_cast<std::size_t>(place_.size)) return {};
    for (int i = 0; i < place_.size; ++i) {
      const std::int64_t count =
          rows ? split_.graph.shape(node.inputs[0]).num_elements()
               : local_shape(whole_.shape(from.of), from.sharding, {i, place_.size}).num_elements();
      if (counts[index(i)] != count) return {};
    }
    // Parts that go to their places are whole at once.
    if (node.attrs.has("dim"))
      return shards && sharding_of(node) == from.sharding ? Meaning{Form::placed, from.of, {}} : Meaning{};
    return {rows ? Form::all_row_numbers : Form::blocks, from.of, from.sharding};
  }

  /// True if the divided node reads, in each place, a part of what the whole one reads.
  bool reads_alike(const Node& node, const Node& whole) {
    bool alike = node.inputs.size() == whole.inputs.size();
    for (std::size_t i = 0; alike && i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNone || whole.inputs[i] == kNone) {
        alike = node.inputs[i] == whole.inputs[i];
        continue;
      }
      const Meaning& m = meaning(node.inputs[i]);
      alike = m.form == Form::placed && m.of == whole.inputs[i];
      if (!alike)
        report(node.name, fmt::format("reads {} ({}) in place of {}", split_.graph.value(node.inputs[i]).name, text(m),
                                      whole_.value(whole.inputs[i]).name));
    }
    return alike;
  }

  std::vector<Sharding> input_placements(const Node& node) const {
    std::vector<Sharding> placements;
    for (const ValueId input : node.inputs) placements.push_back(input == kNone ? Sharding{} : meaning(input).sharding);
    return placements;
  }

  void read_operation(const Node& node, NodeId origin) {
    const Node& whole = whole_.node(origin);
    ++runs_[index(origin)];
    if (node.op != whole.op || node.outputs != whole.outputs || node.phase != whole.phase) {
      report(node.name, fmt::format("is no {} in phase {}", whole.op->name, letter_of(whole.phase)));
      return;
    }
    if (!reads_alike(node, whole)) return;
    Strategy strategy{input_placements(node), {}};
    for (const ValueId output : node.outputs) strategy.outputs.push_back(split_.shards[index(output)].sharding);
    if (!is_allowed(whole, strategy)) {
      std::string inputs;
      for (const Sharding& s : strategy.inputs) inputs += (inputs.empty() ? "" : ", ") + s.to_string();
      report(node.name, fmt::format("{} of ({}) is not {}", node.op->name, inputs, strategy.outputs[0].to_string()));
    } else if (node.attrs.all() != local_attributes(whole, strategy).all()) {
      report(node.name, fmt::format("{} has the attributes of another part", node.op->name));
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      set(node.outputs[i], {Form::placed, node.outputs[i], strategy.outputs[i]});
    taken_[index(origin)] = std::move(strategy);
  }

  bool is_allowed(const Node& whole, const Strategy& strategy) const {
    const auto everywhere = [](const Sharding& s) { return s.is_replicate(); };
    if (std::ranges::all_of(strategy.inputs, everywhere) && std::ranges::all_of(strategy.outputs, everywhere))
      return true;
    const auto divided = [&](const Sharding& s, ValueId id) { return id == kNone || divides(whole_.shape(id), s); };
    if (!std::equal(strategy.inputs.begin(), strategy.inputs.end(), whole.inputs.begin(), divided)) return false;
    if (!std::equal(strategy.outputs.begin(), strategy.outputs.end(), whole.outputs.begin(), divided)) return false;
    const TensorRule* rule = find_tensor_rule(whole.op->name);
    if (rule == nullptr || rule->strategies == nullptr) return false;
    const Strategy forward = whole.forward == kNone ? Strategy{} : taken_[index(whole.forward)];
    const Sharding* wanted = strategy.outputs[0].is_shard() ? &strategy.outputs[0] : nullptr;
    const RuleContext context{whole_, whole, strategy.inputs, forward.inputs, forward.outputs, wanted};
    std::vector<Strategy> allowed;
    rule->strategies(context, allowed);
    return std::ranges::any_of(allowed, [&](const Strategy& s) { return allows(s, context, strategy.outputs); });
  }

  Attributes local_attributes(const Node& whole, const Strategy& strategy) const {
    Attributes attrs = whole.attrs;
    const TensorRule* rule = find_tensor_rule(whole.op->name);
    if (place_.size > 1 && rule != nullptr && rule->localize != nullptr)
      rule->localize(attrs, whole_, whole, strategy, place_);
    return attrs;
  }

  void read_row_numbers(const Node& node, NodeId origin) {
    const Node& whole = whole_.node(origin);
    if (whole.op->name != "CrossEntropy" || !reads_alike(node, whole)) return;
    const Strategy strategy{input_placements(node), std::vector<Sharding>(whole.outputs.size())};
    const Sharding& logits = strategy.inputs[0];
    const bool fits = is_allowed(whole, strategy) && logits.is_shard() && node.attrs.integer("whole") == logits.units &&
                      node.attrs.integer("offset") == part_begin(logits.units, place_.size, place_.index);
    if (!fits) report(node.name, fmt::format("{} of {}", node.op->name, text(meaning(node.inputs[0]))));
    if (fits) set(node.outputs[0], {Form::row_numbers, whole.outputs[0], logits});
    taken_[index(origin)] = strategy;
  }

  void read_merged_rows(const Node& node, NodeId origin) {
    const Node& whole = whole_.node(origin);
    ++runs_[index(origin)];
    const Meaning& rows = meaning(node.inputs[0]);
    const Meaning& labels = meaning(node.inputs[1]);
    const bool fits = rows.form == Form::all_row_numbers && rows.of == whole.outputs[0] &&
                      labels.form == Form::placed && labels.of == whole.inputs[1] && labels.sharding.is_replicate() &&
                      node.outputs == whole.outputs && node.attrs.all() == whole.attrs.all();
    if (!fits) report(node.name, fmt::format("{} of {} and {}", node.op->name, text(rows), text(labels)));
    for (const ValueId output : node.outputs) set(output, {Form::placed, output, {}});
  }

  void expect(ValueId id, ValueId of, const Sharding& sharding, std::string_view what) {
    if (of == kNone && id == kNone) return;
    const Meaning m = id == kNone ? Meaning{} : meaning(id);
    if (m.form == Form::placed && m.of == of && m.sharding == sharding) return;
    report(of == kNone ? "" : whole_.value(of).name,
           fmt::format("{} is {} in place of {}", what, text(m), sharding.to_string()));
  }

  void expect_all(const std::map<ValueId, ValueId>& have, const std::map<ValueId, ValueId>& wanted,
                  std::string_view what) {
    if (have.size() != wanted.size())
      report("", fmt::format("{} {}s in place of {}", have.size(), what, wanted.size()));
    for (const auto& [source, result] : wanted) {
      const auto found = have.find(source);
      const bool is_partial = &have == &split_.graph.gradient_of && split_.is_summed_last(source);
      expect(found == have.end() ? kNone : found->second, result,
             is_partial ? Sharding::partial() : meaning(source).sharding, what);
    }
  }

  void check_results() {
    expect(split_.graph.loss, whole_.loss, {}, "the loss");
    expect(split_.graph.output, whole_.output, {}, "the output");
    expect_all(split_.graph.gradient_of, whole_.gradient_of, "gradient");
    expect_all(split_.graph.next_state, whole_.next_state, "next state");
    for (const ValueId parameter : split_.summed_last) {
      if (!whole_.gradient_of.contains(parameter) || !meaning(parameter).sharding.is_replicate())
        report(split_.graph.value(parameter).name, "is no parameter that all ranks have, to sum a gradient for");
    }
  }

  const Graph& whole_;
  const SplitGraph& split_;
  TensorPlace place_;
  std::vector<Meaning> meanings_;  ///< by value of the divided graph
  std::vector<Strategy> taken_;    ///< by node of the whole graph: the placements in which it runs
  std::vector<int> runs_;          ///< by node of the whole graph: how many divided nodes compute it
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> verify_division(const Graph& whole, const SplitGraph& split, TensorPlace place) {
  return DivisionProof(whole, split, place).run();
}

}  // namespace dml
