// The parts of a divided graph, evaluated together in double: a collective sees what all ranks put in.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "models/index.h"
#include "parallel/tensor/epilogues.h"
#include "tests/reference/graph_evaluator.h"
#include "tests/reference/rules.h"

namespace dml::test {

using reference::Tensor64;
using reference::Values;

/// A rank's part of a whole tensor, element by element.
inline Tensor64 part_of(const Tensor64& whole, const Sharding& sharding, TensorPlace place) {
  if (!sharding.is_shard()) return whole;
  Tensor64 part = Tensor64::zeros(local_shape(whole.shape, sharding, place));
  const std::int64_t begin = part_begin(sharding.units, place.size, place.index);
  const std::int64_t kept = part_size(sharding.units, place.size, place.index);
  reference::for_each(part.shape, [&](const reference::Index& i) {
    const std::int64_t at = i[static_cast<std::size_t>(sharding.dim)];
    const std::int64_t block = at / (kept * sharding.inner);
    const std::int64_t unit = at / sharding.inner % kept;
    const std::int64_t from = (block * sharding.units + begin + unit) * sharding.inner + at % sharding.inner;
    reference::at(part, i) = reference::at(whole, reference::moved(i, sharding.dim, from));
  });
  return part;
}

class Lockstep {
 public:
  /// `content`: what the whole graph is given, and all that it computes from that.
  Lockstep(const Graph& whole, const SplitPlan& plan, const Values& content, const reference::Step& step)
      : whole_(whole), content_(content), step_(step) {
    for (int t = 0; t < plan.size; ++t) graphs.push_back(with_epilogues(split_graph(whole, plan, {t, plan.size}), {}));
    values.resize(graphs.size());
    for (std::size_t t = 0; t < graphs.size(); ++t) give(t);
    for (NodeId id = 0; id < graphs[0].graph.num_nodes(); ++id) run(id);
  }

  std::vector<SplitGraph> graphs;  ///< by rank
  std::vector<Values> values;      ///< by rank

  /// Every value of the whole graph is what the ranks hold of it, and so are loss, output, gradients and states.
  void expect_equal() const {
    const SplitGraph& first = graphs[0];
    for (ValueId id = 0; id < whole_.num_values() && !::testing::Test::HasFailure(); ++id) {
      if (first.graph.value(id).producer != kNone && content_.contains(id))
        expect_value(id, id, first.shards[index(id)].sharding);
    }
    expect_value(first.graph.loss, whole_.loss, {});
    expect_value(first.graph.output, whole_.output, {});
    for (const auto& [parameter, gradient] : whole_.gradient_of) {
      const bool is_partial = first.is_summed_last(parameter);
      expect_value(first.graph.gradient_of.at(parameter), gradient,
                   is_partial ? Sharding::partial() : first.shards[index(parameter)].sharding);
    }
    for (const auto& [state, next] : whole_.next_state) {
      expect_value(first.graph.next_state.at(state), next, first.shards[index(state)].sharding);
    }
  }

 private:
  void expect_value(ValueId id, ValueId whole_id, const Sharding& sharding) const {
    const Tensor64& wanted = content_.at(whole_id);
    const int size = static_cast<int>(graphs.size());
    if (sharding.is_partial()) {
      Tensor64 sum = values[0].at(id);
      for (std::size_t t = 1; t < graphs.size(); ++t) add(sum, values[t].at(id));
      expect_close(sum, wanted, whole_id, "the sum over the ranks");
      return;
    }
    for (int t = 0; t < size; ++t) {
      expect_close(values[static_cast<std::size_t>(t)].at(id), part_of(wanted, sharding, {t, size}), whole_id,
                   "rank " + std::to_string(t) + ", " + sharding.to_string());
    }
  }

  /// 1e-9 of the largest element: sums of doubles in another order.
  void expect_close(const Tensor64& found, const Tensor64& wanted, ValueId id, const std::string& where) const {
    const std::string what = "value '" + whole_.value(id).name + "', " + where;
    ASSERT_EQ(found.shape, wanted.shape) << what;
    double largest = 1e-3;
    for (const double element : wanted.elements) {
      if (std::isfinite(element)) largest = std::max(largest, std::abs(element));
    }
    for (std::size_t i = 0; i < wanted.elements.size(); ++i) {
      if (found.elements[i] == wanted.elements[i]) continue;
      ASSERT_NEAR(found.elements[i], wanted.elements[i], 1e-9 * largest) << what << ", element " << i;
    }
  }

  static void add(Tensor64& sum, const Tensor64& addend) {
    for (std::size_t i = 0; i < sum.elements.size(); ++i) sum.elements[i] += addend.elements[i];
  }

  void give(std::size_t t) {
    const SplitGraph& split = graphs[t];
    for (ValueId id = 0; id < split.graph.num_values(); ++id) {
      const Value& value = split.graph.value(id);
      if (value.producer != kNone || value.role == Role::activation) continue;
      const auto whole = id < whole_.num_values() ? content_.find(id) : content_.end();
      if (whole != content_.end()) {
        values[t][id] = part_of(whole->second, split.shards[index(id)].sharding, {static_cast<int>(t), size()});
      } else if (value.source != nullptr) {
        values[t][id] = reference::stored(value);
      }
    }
  }

  int size() const { return static_cast<int>(graphs.size()); }

  void run(NodeId id) {
    const std::string_view op = graphs[0].graph.node(id).op->name;
    if (op == "AllReduce" || op == "AllGather") return run_collective(id, op == "AllReduce");
    if (op == "ReduceScatter") return run_reduce_scatter(id);
    for (std::size_t t = 0; t < graphs.size(); ++t) {
      const Node& node = graphs[t].graph.node(id);
      std::vector<Tensor64> inputs;
      for (const ValueId input : node.inputs) {
        inputs.push_back(input == kNone ? Tensor64::absent() : values[t].at(input));
        const Shape shape = input == kNone ? inputs.back().shape : graphs[t].graph.shape(input);
        ASSERT_EQ(inputs.back().shape, shape) << node.name;
      }
      std::vector<Tensor64> outputs = reference::evaluate(graphs[t].graph, node, inputs, step_);
      for (std::size_t i = 0; i < outputs.size(); ++i) values[t][node.outputs[i]] = std::move(outputs[i]);
    }
  }

  void run_collective(NodeId id, bool sums) {
    const Node& node = graphs[0].graph.node(id);
    Tensor64 result = values[0].at(node.inputs[0]);
    for (std::size_t t = 1; t < graphs.size(); ++t) {
      const Tensor64& other = values[t].at(graphs[t].graph.node(id).inputs[0]);
      if (sums) {
        ASSERT_EQ(other.shape, result.shape) << node.name;
        add(result, other);
      } else {
        result.elements.insert(result.elements.end(), other.elements.begin(), other.elements.end());
      }
    }
    for (std::size_t t = 0; t < graphs.size(); ++t) {
      const Node& local = graphs[t].graph.node(id);
      result.shape = graphs[t].graph.shape(local.outputs[0]);
      ASSERT_EQ(static_cast<std::int64_t>(result.elements.size()), result.shape.num_elements()) << node.name;
      const auto own = static_cast<std::int64_t>(values[t].at(local.inputs[0]).elements.size());
      ASSERT_EQ(sums ? own : local.attrs.integers("counts")[t], own) << node.name;
      values[t][local.outputs[0]] = local.attrs.has("dim") ? in_place(id) : result;
    }
  }

  static Sharding sharding_of(const Node& node) {
    return Sharding::shard(static_cast<int>(node.attrs.integer("dim")), node.attrs.integer("outer"),
                           node.attrs.integer("units"), node.attrs.integer("inner"));
  }

  /// What all ranks put in, each element at its place in the whole.
  Tensor64 in_place(NodeId id) const {
    const Node& node = graphs[0].graph.node(id);
    Tensor64 whole = Tensor64::zeros(graphs[0].graph.shape(node.outputs[0]));
    for (int t = 0; t < size(); ++t) {
      const Tensor64& part = values[static_cast<std::size_t>(t)].at(node.inputs[0]);
      for (const ShardRun& run : shard_runs(whole.shape, sharding_of(node), {t, size()})) {
        std::copy_n(part.elements.begin() + run.local_begin, run.count, whole.elements.begin() + run.global_begin);
      }
    }
    return whole;
  }

  void run_reduce_scatter(NodeId id) {
    const Node& node = graphs[0].graph.node(id);
    Tensor64 sum = values[0].at(node.inputs[0]);
    for (std::size_t t = 1; t < graphs.size(); ++t) add(sum, values[t].at(node.inputs[0]));
    for (int t = 0; t < size(); ++t)
      values[static_cast<std::size_t>(t)][node.outputs[0]] = part_of(sum, sharding_of(node), {t, size()});
  }

  const Graph& whole_;
  const Values& content_;
  const reference::Step& step_;
};

}  // namespace dml::test
