// Writes one rank's part of a divided graph: local shapes, local attributes, and the operations that move shards.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "kernels/error.h"
#include "models/index.h"
#include "parallel/tensor/split.h"

namespace dml {
namespace {

/// A box of a source, as a source: a constant divided at compile time.
class ShardSource final : public TensorSource {
 public:
  ShardSource(std::shared_ptr<const TensorSource> whole, const ShardSpec& spec, TensorPlace place)
      : whole_(std::move(whole)),
        runs_(shard_runs(spec.global_shape, spec.sharding, place)),
        shape_(spec.local(place)) {}
  DataType stored_type() const override { return whole_->stored_type(); }
  const Shape& shape() const override { return shape_; }
  void read_f32(float* out, const Shape&, const Shape& extent) const override {
    DML_ASSERT(extent == shape_, "a divided constant is read whole");
    std::vector<float> all(static_cast<std::size_t>(whole_->shape().num_elements()));
    whole_->read_all_f32(all.data());
    for (const ShardRun& run : runs_) std::copy_n(all.data() + run.global_begin, run.count, out + run.local_begin);
  }
  void read_i64(std::int64_t* out) const override {
    std::vector<std::int64_t> all(static_cast<std::size_t>(whole_->shape().num_elements()));
    whole_->read_i64(all.data());
    for (const ShardRun& run : runs_) std::copy_n(all.data() + run.global_begin, run.count, out + run.local_begin);
  }

 private:
  std::shared_ptr<const TensorSource> whole_;
  std::vector<ShardRun> runs_;
  Shape shape_;
};

class Writer {
 public:
  Writer(const Graph& graph, const SplitPlan& plan, TensorPlace place)
      : graph_(graph), plan_(plan), place_(place), consumers_(graph.consumers()) {
    for (ValueId id = 0; id < graph.num_values(); ++id) add_value_like(id);
    result_.graph.inputs = graph.inputs;
    result_.graph.label = graph.label;
  }

  SplitGraph write() {
    for (NodeId id = 0; id < graph_.num_nodes(); ++id) write_node(id);
    current_ = kNone;
    result_.graph.output = in_form(graph_.output, Sharding::replicate());
    result_.graph.loss = graph_.loss == kNone ? kNone : in_form(graph_.loss, Sharding::replicate());
    for (const auto& [parameter, gradient] : graph_.gradient_of) {
      const bool is_last = may_be_summed_last(parameter, gradient);
      result_.graph.gradient_of[parameter] = is_last ? gradient : in_form(gradient, plan_.values[index(parameter)]);
      if (is_last) result_.summed_last.push_back(parameter);
    }
    for (const auto& [state, next] : graph_.next_state) {
      result_.graph.next_state[state] = in_form(next, plan_.values[index(state)]);
    }
    result_.graph.set_nodes(std::move(nodes_));
    return std::move(result_);
  }

 private:
  /// Values keep their ids; those that the moves make come behind them.
  void add_value_like(ValueId id) {
    Value value = graph_.value(id);
    const Sharding& sharding = native(id);
    value.shape = local_shape(value.shape, sharding, place_);
    result_.shards.push_back({value.name, graph_.shape(id), sharding});
    result_.graph.add_value(std::move(value));
  }

  /// By sequence, the gradients of what goes through tokens one by one are addends, which nothing reads before the end
  /// of the step. What is used in several places, which may be of several stages, has a sum of its own, and stays with
  /// it.
  bool may_be_summed_last(ValueId parameter, ValueId gradient) const {
    return plan_.by_sequence && native(gradient).is_partial() && consumers_[gradient].empty() &&
           std::ranges::count_if(consumers_[parameter],
                                 [&](NodeId reader) { return graph_.node(reader).phase == Phase::forward; }) == 1;
  }

  /// How the value comes out of its node, before it is gathered.
  const Sharding& native(ValueId id) const {
    const NodeId producer = graph_.value(id).producer;
    if (producer == kNone || !plan_.gathered[index(producer)]) return plan_.values[index(id)];
    return plan_.chosen[index(producer)].outputs[0];
  }

  ValueId new_value(ValueId like, std::string_view suffix, Shape shape, const Sharding& sharding) {
    Value value;
    value.name = fmt::format("{}.{}", graph_.value(like).name, suffix);
    value.dtype = graph_.value(like).dtype;
    value.shape = shape;
    result_.shards.push_back({value.name, graph_.shape(like), sharding});
    return result_.graph.add_value(std::move(value));
  }

  void append(Node node, NodeId origin) {
    nodes_.push_back(std::move(node));
    result_.origin.push_back(origin);
  }

  /// A node that moves shards of `id`, filed under the node that makes `id`, or else under its first reader.
  ValueId append_move(std::string_view op_name, ValueId id, ValueId from, Attributes attrs, Shape shape,
                      const Sharding& sharding) {
    const NodeId producer = graph_.value(id).producer;
    return append_move(op_name, id, from, std::move(attrs), shape, sharding, producer != kNone ? producer : current_);
  }

  ValueId append_move(std::string_view op_name, ValueId id, ValueId from, Attributes attrs, Shape shape,
                      const Sharding& sharding, NodeId origin) {
    Node node;
    node.op = op(op_name);
    node.name = fmt::format("{}.{}", graph_.value(id).name, op_name);
    node.scope = graph_.node(origin).scope;
    node.phase = graph_.node(origin).phase;
    node.attrs = std::move(attrs);
    node.inputs = {from};
    const ValueId out = new_value(id, op_name, shape, sharding);
    node.outputs = {out};
    append(std::move(node), origin);
    return out;
  }

  static Attributes shard_attributes(const Sharding& s) {
    return Attributes()
        .set("dim", std::int64_t{s.dim})
        .set("outer", s.outer)
        .set("units", s.units)
        .set("inner", s.inner);
  }

  Attributes part_attributes(const Sharding& s) const {
    return shard_attributes(s)
        .set("begin", part_begin(s.units, place_.size, place_.index))
        .set("end", part_begin(s.units, place_.size, place_.index + 1));
  }

  ValueId reduced(ValueId id) {
    return append_move("AllReduce", id, id, Attributes().set("group", std::string("t")), graph_.shape(id), {});
  }

  /// A rank's part of a sum.
  ValueId scattered(ValueId id, const Sharding& s) {
    Attributes attrs = part_attributes(s).set("group", std::string("t"));
    return append_move("ReduceScatter", id, id, std::move(attrs), local_shape(graph_.shape(id), s, place_), s);
  }

  /// Filed under the reader: what crosses stages, or waits for the backward pass, is the part.
  ValueId gathered_in_place(ValueId id) {
    const Sharding& s = native(id);
    const Shape& whole = graph_.shape(id);
    Attributes attrs = shard_attributes(s)
                           .set("group", std::string("t"))
                           .set("counts", counts_of(id, s))
                           .set("shape", whole.to_vector());
    const NodeId origin = current_ == kNone ? graph_.value(id).producer : current_;
    return append_move("AllGather", id, id, std::move(attrs), whole, {}, origin);
  }

  /// Elements of each rank.
  std::vector<std::int64_t> counts_of(ValueId id, const Sharding& s) const {
    std::vector<std::int64_t> elements;
    for (int i = 0; i < place_.size; ++i)
      elements.push_back(local_shape(graph_.shape(id), s, {i, place_.size}).num_elements());
    return elements;
  }

  ValueId gathered(ValueId id) {
    if (plan_.by_sequence) return gathered_in_place(id);
    const Sharding& s = native(id);
    const Shape& whole = graph_.shape(id);
    Attributes counts = Attributes().set("group", std::string("t")).set("counts", counts_of(id, s));
    const ValueId flat = append_move("AllGather", id, id, std::move(counts), Shape{whole.num_elements()}, {});
    return append_move("ShardMerge", id, flat,
                       shard_attributes(s).set("parts", std::int64_t{place_.size}).set("shape", whole.to_vector()),
                       whole, {});
  }

  ValueId sliced(ValueId id, ValueId whole, const Sharding& s) {
    const ShardSpec spec{graph_.value(id).name, graph_.shape(id), s};
    const Value& value = graph_.value(id);
    if (value.role == Role::constant && value.source != nullptr) {
      Value part = value;
      part.name = fmt::format("{}.part", value.name);
      part.shape = spec.local(place_);
      part.source = std::make_shared<ShardSource>(value.source, spec, place_);
      result_.shards.push_back(spec);
      return result_.graph.add_value(std::move(part));
    }
    return append_move("ShardSlice", id, whole, part_attributes(s), spec.local(place_), s);
  }

  /// The value `id` in the form that a reader wants; moves are made once and shared by all readers of a kind.
  ValueId in_form(ValueId id, const Sharding& wanted) {
    if (id == kNone) return kNone;
    const Sharding& have = native(id);
    if (have == wanted) return id;
    auto& forms = forms_[{id, is_gathered_again(id)}];
    for (const auto& [sharding, value] : forms) {
      if (sharding == wanted) return value;
    }
    DML_ASSERT(!wanted.is_partial(), graph_.value(id).name + " is " + have.to_string());
    ValueId result = id;
    if (plan_.by_sequence && have.is_partial() && wanted.is_shard()) {
      result = scattered(id, wanted);
    } else if (!wanted.is_replicate()) {
      result = sliced(id, in_form(id, Sharding::replicate()), wanted);
    } else {
      result = have.is_partial() ? reduced(id) : gathered(id);
    }
    forms.emplace_back(wanted, result);
    return result;
  }

  /// By sequence, what a forward pass gathers is not kept for gradients.
  bool is_gathered_again(ValueId id) const {
    const NodeId producer = graph_.value(id).producer;
    if (!plan_.by_sequence || producer == kNone || current_ == kNone || !native(id).is_shard()) return false;
    return graph_.node(producer).phase == Phase::forward && graph_.node(current_).phase != Phase::forward;
  }

  void write_node(NodeId id) {
    const Node& node = graph_.node(id);
    if (plan_.by_sequence) gather_ahead(node, id);
    current_ = id;
    const Strategy& strategy = plan_.chosen[index(id)];
    Node local = node;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) local.inputs[i] = in_form(node.inputs[i], strategy.inputs[i]);
    if (node.op->name == "CrossEntropy" && strategy.inputs[0].is_shard()) {
      write_cross_entropy(local, strategy.inputs[0], id);
      return;
    }
    const TensorRule* rule = find_tensor_rule(node.op->name);
    if (rule != nullptr && rule->localize != nullptr && place_.size > 1) {
      rule->localize(local.attrs, graph_, node, strategy, place_);
    }
    append(std::move(local), id);
    for (const ValueId output : node.outputs) move_early(output);
  }

  /// The gradients of a forward node are made one after the other: what a later one reads whole is gathered while the
  /// first one is computed.
  void gather_ahead(const Node& node, NodeId id) {
    for (NodeId later = id; node.forward != kNone && later < graph_.num_nodes(); ++later) {
      const Node& sibling = graph_.node(later);
      if (sibling.forward != node.forward || sibling.phase == Phase::recompute) break;
      current_ = later;
      for (std::size_t i = 0; i < sibling.inputs.size(); ++i) {
        const ValueId input = sibling.inputs[i];
        const bool is_there = input != kNone && graph_.value(input).producer < id;
        if (is_there && native(input).is_shard()) in_form(input, plan_.chosen[index(later)].inputs[i]);
      }
    }
  }

  /// Sums and gathers go right behind what they move, so that they overlap whatever comes before their reader.
  void move_early(ValueId id) {
    if (native(id).is_replicate() || (plan_.by_sequence && native(id).is_shard())) return;
    for (const NodeId reader : consumers_[id]) {
      const Node& node = graph_.node(reader);
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        const Sharding& wanted = plan_.chosen[index(reader)].inputs[i];
        const bool is_moved = wanted.is_replicate() || (plan_.by_sequence && wanted.is_shard());
        if (node.inputs[i] == id && is_moved) in_form(id, wanted);
      }
    }
  }

  /// Cross entropy over divided classes: three numbers a row are exchanged, never the logits.
  void write_cross_entropy(const Node& node, const Sharding& logits, NodeId id) {
    const ValueId labels = node.inputs[1];
    Shape stats_shape = result_.graph.shape(labels);
    stats_shape.push_back(3);
    Node stats = node;
    stats.op = op("CrossEntropyStats");
    stats.name = node.name + ".stats";
    stats.attrs.set("offset", part_begin(logits.units, place_.size, place_.index)).set("whole", logits.units);
    stats.outputs = {new_value(node.outputs[1], "stats", stats_shape, {})};
    const ValueId local_stats = stats.outputs[0];
    append(std::move(stats), id);

    Shape all_shape{place_.size};
    for (const std::int64_t extent : stats_shape) all_shape.push_back(extent);
    Node gather = node;
    gather.op = op("AllGather");
    gather.name = node.name + ".all_gather";
    const std::vector<std::int64_t> counts(static_cast<std::size_t>(place_.size), stats_shape.num_elements());
    gather.attrs = Attributes().set("group", std::string("t")).set("counts", counts);
    gather.inputs = {local_stats};
    gather.outputs = {new_value(node.outputs[1], "all_stats", all_shape, {})};
    const ValueId all_stats = gather.outputs[0];
    append(std::move(gather), id);

    Node merge = node;
    merge.op = op("CrossEntropyMerge");
    merge.inputs = {all_stats, labels};
    append(std::move(merge), id);
  }

  const Graph& graph_;
  const SplitPlan& plan_;
  TensorPlace place_;
  Consumers consumers_;
  SplitGraph result_;
  std::vector<Node> nodes_;
  /// By value, and whether for gradients of what is gathered for each pass.
  std::map<std::pair<ValueId, bool>, std::vector<std::pair<Sharding, ValueId>>> forms_;
  NodeId current_ = kNone;
};

}  // namespace

bool SplitGraph::is_summed_last(ValueId parameter) const { return std::ranges::binary_search(summed_last, parameter); }

SplitGraph split_graph(const Graph& graph, const SplitPlan& plan, TensorPlace place) {
  return Writer(graph, plan, place).write();
}

}  // namespace dml
