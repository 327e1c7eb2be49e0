#include "parallel/tensor/split_wishes.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/index.h"

namespace dml {

bool ShardingWish::is(const Sharding& sharding, const Shape& shape, int size) const {
  if (kind != sharding.kind) return false;
  if (kind != Sharding::Kind::shard) return true;
  if ((dim < 0 ? dim + shape.rank() : dim) != sharding.dim) return false;
  const std::int64_t extent = shape[sharding.dim];
  const std::int64_t wanted_units = units > 0 ? units : extent / std::max<std::int64_t>(outer * inner, 1);
  if (outer * wanted_units * inner != extent) return true;
  if (outer != sharding.outer) return false;
  for (int i = 0; i < size; ++i) {
    if (part_begin(wanted_units, size, i) * inner != part_begin(sharding.units, size, i) * sharding.inner) return false;
  }
  return true;
}

std::string ShardingWish::to_string() const {
  if (kind != Sharding::Kind::shard) return kind == Sharding::Kind::partial ? "partial" : "replicate";
  return units == 0 ? fmt::format("shard({})", dim) : fmt::format("shard({}: {}x{}x{})", dim, outer, units, inner);
}

void SplitWishes::add(NodeWishes wishes) {
  for (const std::string& output : wishes.outputs) by_output_[output] = nodes_.size();
  for (const std::string& input : wishes.inputs) {
    const auto wish = wishes.tensors.find(input);
    if (wish == wishes.tensors.end()) continue;
    const auto [known, is_first] = by_reader_.emplace(input, ReaderWish{wish->second, nodes_.size()});
    if (is_first) continue;
    known->second.is_only = false;
    known->second.is_disputed = known->second.is_disputed || known->second.wish != wish->second;
  }
  nodes_.push_back(std::move(wishes));
}

const NodeWishes* SplitWishes::wishes_of(const Graph& graph, const Node& node) const {
  const auto found = by_output_.find(graph.value(node.outputs[0]).name);
  return found == by_output_.end() ? nullptr : &nodes_[found->second];
}

const ShardingWish* SplitWishes::of_input(const Graph& graph, const Node& node, std::size_t input) const {
  if (node.inputs[input] == kNone) return nullptr;
  const std::string& name = graph.value(node.inputs[input]).name;
  if (const NodeWishes* own = wishes_of(graph, node)) {
    const auto wish = own->tensors.find(name);
    if (wish != own->tensors.end()) return &wish->second;
  }
  const auto wish = by_reader_.find(name);
  return wish == by_reader_.end() || wish->second.is_disputed ? nullptr : &wish->second.wish;
}

const ShardingWish* SplitWishes::of_inner_output(const Graph& graph, const Node& node) const {
  for (const ValueId input : node.inputs) {
    const auto reader = input == kNone ? by_reader_.end() : by_reader_.find(graph.value(input).name);
    if (reader == by_reader_.end() || !reader->second.is_only || graph.value(input).role != Role::parameter) continue;
    const NodeWishes& wishes = nodes_[reader->second.node];
    const auto wish = wishes.tensors.find(wishes.outputs.empty() ? "" : wishes.outputs[0]);
    if (wish != wishes.tensors.end() && wish->second.kind == Sharding::Kind::replicate) return &wish->second;
  }
  return nullptr;
}

const ShardingWish* SplitWishes::of_output(const Graph& graph, const Node& node, std::size_t output) const {
  const NodeWishes* own = wishes_of(graph, node);
  if (own == nullptr) return of_inner_output(graph, node);
  const auto wish = own->tensors.find(graph.value(node.outputs[output]).name);
  return wish == own->tensors.end() ? nullptr : &wish->second;
}

bool SplitWishes::speaks_of(const Graph& graph, const Node& node) const {
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (of_input(graph, node, i) != nullptr) return true;
  }
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (of_output(graph, node, i) != nullptr) return true;
  }
  return false;
}

SplitWishes::Fit SplitWishes::fit(const Graph& graph, const Node& node, const Strategy& strategy, int size) const {
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const ShardingWish* wish = of_input(graph, node, i);
    if (wish != nullptr && !wish->is(strategy.inputs[i], graph.shape(node.inputs[i]), size)) return Fit::no;
  }
  Fit fit = Fit::yes;
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const ShardingWish* wish = of_output(graph, node, i);
    const Sharding& output = strategy.outputs[i];
    if (wish == nullptr || wish->is(output, graph.shape(node.outputs[i]), size)) continue;
    if (wish->kind != Sharding::Kind::replicate) return Fit::no;
    if (output.is_partial()) continue;  // it is summed where it is read as a whole
    if (node.outputs.size() > 1) return Fit::no;
    fit = Fit::gathered;
  }
  return fit;
}

std::string SplitWishes::text_of(const Graph& graph, const Node& node) const {
  std::string text;
  const auto add = [&](ValueId id, const ShardingWish* wish) {
    if (wish == nullptr) return;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", graph.value(id).name, wish->to_string());
  };
  for (std::size_t i = 0; i < node.inputs.size(); ++i) add(node.inputs[i], of_input(graph, node, i));
  for (std::size_t i = 0; i < node.outputs.size(); ++i) add(node.outputs[i], of_output(graph, node, i));
  return text;
}

}  // namespace dml
