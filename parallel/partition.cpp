#include "parallel/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "kernels/error.h"
#include "models/index.h"
#include "models/op.h"
#include "parallel/pipeline/cut.h"
#include "parallel/pipeline/stage_cost.h"
#include "parallel/techniques/sequence_parts.h"
#include "parallel/tensor/epilogues.h"

namespace dml {
namespace {

void check_batch(const Mesh& mesh, const PartitionOptions& options) {
  const std::int64_t parts = std::int64_t{mesh.d()} * options.microbatches;
  if (options.microbatches < 1 || options.batch < parts) {
    throw ModelError(
        fmt::format("a batch of {} samples cannot be divided into d={} x {} microbatches: use a larger "
                    "--batch, or fewer --microbatches",
                    options.batch, mesh.d(), options.microbatches));
  }
}

void divide_batch(Partition& p, const PartitionOptions& options) {
  const std::int64_t begin = part_begin(options.batch, p.mesh.d(), p.at.d);
  const std::int64_t part = part_size(options.batch, p.mesh.d(), p.at.d);
  for (int m = 0; m < options.microbatches; ++m) {
    p.sizes.push_back(part_size(part, options.microbatches, m));
    p.first_samples.push_back(begin + part_begin(part, options.microbatches, m));
  }
}

SplitMode choose_mode(const Graph& graph, int size, const PartitionOptions& options) {
  if (size == 1) return options.tensor_mode;
  if (options.carried) {
    const std::vector<bool> gathered = split_plan_of(graph, size, SplitMode::megatron, options).gathered;
    return std::ranges::find(gathered, true) != gathered.end() ? SplitMode::gather : SplitMode::megatron;
  }
  if (options.tensor_auto) {
    const SplitPlan gather = plan_split(graph, size, SplitMode::gather);
    const SplitPlan megatron = plan_split(graph, size, SplitMode::megatron);
    if (megatron.num_divided == 0) return SplitMode::gather;
    if (options.techniques.sequence_parallel) return SplitMode::megatron;
    return gather.num_divided > megatron.num_divided * 2 || gather.bytes < megatron.bytes ? SplitMode::gather
                                                                                          : SplitMode::megatron;
  }
  if (options.techniques.sequence_parallel && options.tensor_mode == SplitMode::gather) {
    throw ModelError(
        "--tensor-mode gather has no sums that sequence parallelism could scatter: use megatron, or leave out "
        "--sequence-parallel");
  }
  if (plan_split(graph, size, options.tensor_mode).num_divided == 0) {
    throw ModelError(fmt::format("--tensor-mode {}: nothing in the model can be divided by t={}",
                                 options.tensor_mode == SplitMode::gather ? "gather" : "megatron", size));
  }
  return options.tensor_mode;
}

void split_graphs(Partition& p, const DividedModel& model) {
  for (const std::int64_t size : p.sizes) {
    if (p.graphs.count(size) == 0) p.graphs.emplace(size, model.split_of(size));
    const std::vector<NodeId>& origin = p.graphs.at(p.sizes.front())->origin;
    DML_ASSERT(p.graphs.at(size)->origin == origin && origin.size() == p.stages.size(),
               "microbatch sizes are divided differently");
  }
  for (const std::int64_t size : p.sizes) p.by_microbatch.push_back(p.graphs.at(size).get());
}

ModelSummary summarize(const Graph& graph, std::int64_t samples, std::span<const int> stages, int num_stages) {
  ModelSummary summary;
  std::string text;
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    const Node& node = graph.node(id);
    if (node.phase != Phase::recompute)
      summary.flops_per_sample += cost_of(graph, node).flops / static_cast<double>(samples);
    text += fmt::format("{} {} {} {};", node.name, node.op->name, graph.shape(node.outputs[0]).to_string(),
                        stages[index(id)]);
  }
  summary.fingerprint = static_cast<std::int64_t>(std::hash<std::string>{}(text));
  for (const auto& [parameter, gradient] : graph.gradient_of)
    summary.parameters += graph.shape(parameter).num_elements();
  for (int stage = 0; stage < num_stages; ++stage) summary.stage_labels.push_back(stage_label(graph, stages, stage));
  return summary;
}

std::vector<Order> orders_by_name(const Placement& placement, const std::vector<StageCost>& costs,
                                  const PartitionOptions& options) {
  const ScheduleDef& schedule = find_schedule(options.schedule);
  if (schedule.copies > 1) {
    throw std::invalid_argument(
        fmt::format("[schedule] {} keeps two copies of the model: it can be simulated, not run; dualpipe-v needs one",
                    schedule.name));
  }
  std::vector<Order> orders =
      schedule.orders({.placement = placement, .microbatches = options.microbatches, .costs = costs});
  validate(orders, placement, options.microbatches);
  return orders;
}

std::vector<Order> make_orders(const Placement& placement, const std::vector<StageCost>& costs,
                               const PartitionOptions& options) {
  std::vector<Order> orders = options.given ? options.given->orders : orders_by_name(placement, costs, options);
  if (options.forward_only) {
    for (Order& order : orders) std::erase_if(order, [](const Action& a) { return a.phase != Phase::forward; });
  }
  return orders;
}

}  // namespace

std::vector<int> Partition::positions_of(ValueId parameter) const {
  std::set<int> positions;
  const Graph& graph = split().graph;
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    const auto& inputs = graph.node(id).inputs;
    if (std::find(inputs.begin(), inputs.end(), parameter) != inputs.end()) {
      positions.insert(placement.position(stages[index(id)]));
    }
  }
  return {positions.begin(), positions.end()};
}

std::vector<std::vector<int>> Partition::tied_groups() const {
  std::map<ValueId, std::set<int>> used;
  const Graph& graph = split().graph;
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    for (const ValueId input : graph.node(id).inputs) {
      if (input != kNone && graph.gradient_of.count(input) > 0) used[input].insert(stages[index(id)]);
    }
  }
  std::set<std::vector<int>> groups;
  for (const auto& [value, its_stages] : used) {
    std::set<int> positions;
    for (const int stage : its_stages) positions.insert(placement.position(stage));
    if (positions.size() > 1) groups.emplace(its_stages.begin(), its_stages.end());
  }
  return {groups.begin(), groups.end()};
}

Placement placement_of(const Mesh& mesh, const PartitionOptions& options) {
  if (options.given) {
    const auto& [placement, microbatches, orders] = *options.given;
    if (placement.num_positions() != mesh.p() || microbatches != options.microbatches) {
      throw std::invalid_argument(fmt::format("[schedule] {} is of p={} and {} microbatches, the run has p={} and {}",
                                              options.schedule, placement.num_positions(), microbatches, mesh.p(),
                                              options.microbatches));
    }
    return placement;
  }
  const ScheduleDef& def = find_schedule(options.schedule);
  if (options.chunks > 0 && options.chunks != def.chunks && !def.any_chunks) {
    throw std::invalid_argument(fmt::format("[schedule] {} has {} stage{} per position, not {}", def.name, def.chunks,
                                            def.chunks == 1 ? "" : "s", options.chunks));
  }
  return {mesh.p(), options.chunks > 0 ? options.chunks : def.chunks, def.placement};
}

std::int64_t largest_microbatch(const Mesh& mesh, const PartitionOptions& options) {
  check_batch(mesh, options);
  std::int64_t largest = 0;
  for (int d = 0; d < mesh.d(); ++d) {
    const std::int64_t part = part_size(options.batch, mesh.d(), d);
    for (int m = 0; m < options.microbatches; ++m)
      largest = std::max(largest, part_size(part, options.microbatches, m));
  }
  return largest;
}

SplitPlan split_plan_of(const Graph& graph, int size, SplitMode mode, const PartitionOptions& options) {
  // A plan says of each node what is gathered; the candidates of megatron hold those of gather.
  SplitPlan plan = options.carried ? plan_split(graph, size, SplitMode::megatron, &options.carried->wishes)
                                   : plan_split(graph, size, mode);
  if (options.techniques.sequence_parallel && size > 1) divide_sequence(plan, graph);
  return plan;
}

SplitGraph divided_graph(const Graph& graph, const SplitPlan& plan, TensorPlace place, std::span<const int> stages) {
  return with_epilogues(split_graph(graph, plan, place), stages);
}

std::vector<int> stages_of_nodes(const Graph& graph, const Mesh& mesh, const PartitionOptions& options) {
  const int num_stages = placement_of(mesh, options).num_stages();
  return options.carried ? planned_stages(graph, num_stages, options.carried->stage_of)
                         : cut_stages(graph, num_stages, options.cut);
}

DividedModel divide_model(const GraphOfBatch& graph_of, const Mesh& mesh, int tensor_index, std::int64_t samples,
                          const PartitionOptions& options) {
  const Graph whole = graph_of(samples);
  const int num_stages = placement_of(mesh, options).num_stages();
  DividedModel model;
  model.whole_stages = stages_of_nodes(whole, mesh, options);
  model.mode = choose_mode(whole, mesh.t(), options);
  model.summary = summarize(whole, samples, model.whole_stages, num_stages);
  model.costs = stage_costs(whole, model.whole_stages, num_stages);
  const TensorPlace place{tensor_index, mesh.t()};
  const SplitPlan plan = split_plan_of(whole, mesh.t(), model.mode, options);
  for (const NodeId origin : divided_graph(whole, plan, place, model.whole_stages).origin)
    model.stages.push_back(model.whole_stages[index(origin)]);
  model.notes = plan.notes;
  model.split_of = [graph_of, place, mode = model.mode, stages = model.whole_stages, options](std::int64_t size) {
    const Graph graph = graph_of(size);
    return std::make_shared<const SplitGraph>(
        divided_graph(graph, split_plan_of(graph, place.size, mode, options), place, stages));
  };
  return model;
}

StagePlan plan_stages(const DividedModel& model, const SplitGraph& split, const Mesh& mesh,
                      const PartitionOptions& options) {
  StagePlan plan{placement_of(mesh, options), {}, nullptr, nullptr};
  plan.orders = make_orders(plan.placement, model.costs, options);
  plan.map = std::make_shared<const StageMap>(split, model.stages, plan.placement, options.needs_output);
  plan.uses = std::make_shared<const ParameterUses>(split, model.stages);
  return plan;
}

Partition make_partition(const DividedModel& model, const StagePlan& plan, const Mesh& mesh, int rank,
                         const PartitionOptions& options) {
  check_batch(mesh, options);
  Partition p(mesh, rank, plan.placement);
  p.orders = plan.orders;
  p.keeps_output = options.needs_output;
  p.forward_only = options.forward_only;
  p.techniques = options.techniques;
  p.mode = model.mode;
  p.stages = model.stages;
  p.summary = model.summary;
  p.notes = model.notes;
  divide_batch(p, options);
  split_graphs(p, model);
  const std::span<const int> own_stages = p.placement.stages(p.at.p);
  p.own_stages.assign(own_stages.begin(), own_stages.end());
  p.map = plan.map;
  p.layout = flat_layout(p.split(), *plan.uses, p.own_stages, p.place(), options.bucket_bytes, options.decays);
  p.tasks = build_tasks({p.mesh, rank, p.placement, p.orders, p.by_microbatch, p.stages, p.layout, options.clips,
                         options.forward_only, options.techniques},
                        *p.map);
  return p;
}

Partition make_partition(const DividedModel& model, const Mesh& mesh, int rank, const PartitionOptions& options) {
  check_batch(mesh, options);
  std::map<std::int64_t, std::shared_ptr<const SplitGraph>> splits;
  DividedModel kept = model;
  kept.split_of = [&](std::int64_t samples) {
    const auto [split, is_new] = splits.try_emplace(samples);
    if (is_new) split->second = model.split_of(samples);
    return split->second;
  };
  const std::int64_t part = part_size(options.batch, mesh.d(), mesh.coordinate(rank).d);
  const auto split = kept.split_of(part_size(part, options.microbatches, 0));
  return make_partition(kept, plan_stages(kept, *split, mesh, options), mesh, rank, options);
}

Partition make_partition(const GraphOfBatch& graph_of, const Mesh& mesh, int rank, const PartitionOptions& options) {
  const std::int64_t samples = largest_microbatch(mesh, options);
  return make_partition(divide_model(graph_of, mesh, mesh.coordinate(rank).t, samples, options), mesh, rank, options);
}

}  // namespace dml
