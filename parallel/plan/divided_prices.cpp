#include "parallel/plan/divided_prices.h"

#include <algorithm>
#include <set>

#include "kernels/error.h"
#include "models/index.h"
#include "parallel/collective_node.h"
#include "parallel/cost/task_cost.h"
#include "parallel/pipeline/cut.h"
#include "parallel/pipeline/stage_cost.h"
#include "parallel/techniques/sequence_parts.h"

namespace dml {
namespace {

double seconds_of_node(const Hardware& hardware, const Graph& graph, const Node& node, const ComputeMode& compute,
                       int t) {
  if (!is_collective(node)) return seconds_of(hardware, graph, node, compute);
  const auto bytes = static_cast<double>(collective_bytes(graph, node));
  return seconds_of(hardware, comm_kind_of(task_kind_of(node)), bytes, {t, 1});
}

std::int64_t next_size(std::int64_t size) {
  constexpr std::int64_t kSmall = 8;
  return size * (size < kSmall ? 2 : 4);
}

PositionWeights weights_of(const FlatLayout& layout, const Placement& placement) {
  PositionWeights weights;
  weights.elems = static_cast<double>(layout.size);
  for (const Bucket& bucket : layout.buckets) {
    const double bytes = static_cast<double>(bucket.count) * static_cast<double>(sizeof(float));
    std::set<int> positions;
    for (const int stage : bucket.tied_stages) positions.insert(placement.position(stage));
    if (bucket.summed_last) {
      weights.last_buckets.push_back(bytes);
    } else if (bucket.tied_stages.size() == 1) {
      weights.buckets.push_back(bytes);
    } else {
      weights.tied_buckets.emplace_back(bytes, static_cast<int>(positions.size()));
    }
  }
  return weights;
}

}  // namespace

std::vector<std::int64_t> priced_sizes(double samples) {
  std::vector<std::int64_t> sizes{1};
  while (static_cast<double>(next_size(sizes.back())) <= samples) sizes.push_back(next_size(sizes.back()));
  return sizes;
}

const Graph& CutModel::graph(std::int64_t samples) {
  const std::lock_guard lock(mutex_);
  return kept_graph(samples);
}

const Graph& CutModel::kept_graph(std::int64_t samples) {
  const auto found = graphs_.find(samples);
  return found != graphs_.end() ? found->second : graphs_.emplace(samples, graph_of_(samples)).first->second;
}

const CutModel::Cut& CutModel::cut(int num_stages) {
  const std::lock_guard lock(mutex_);
  const auto found = cuts_.find(num_stages);
  if (found != cuts_.end()) return found->second;
  const auto refused = refused_.find(num_stages);
  if (refused != refused_.end()) throw ModelError(refused->second);
  try {
    const Graph& whole = kept_graph(samples_);
    Cut cut;
    cut.stages = cut_stages(whole, num_stages, ends_(whole, num_stages));
    cut.costs = stage_costs(whole, cut.stages, num_stages);
    return cuts_.emplace(num_stages, std::move(cut)).first->second;
  } catch (const ModelError& error) {
    refused_.emplace(num_stages, error.what());
    throw;
  }
}

DividedPrices::DividedPrices(CutModel& model, int t, SplitMode mode, bool by_sequence, const Hardware& hardware,
                             const ComputeMode& compute)
    : model_(model),
      place_{t - 1, t},
      mode_(mode),
      by_sequence_(by_sequence && t > 1),
      hardware_(hardware),
      compute_(compute) {
  divides_ = t == 1 || plan_split(model.graph(model.samples()), t, mode).num_divided > 0;
}

const PricedGraph& DividedPrices::priced(std::int64_t samples) {
  const auto found = graphs_.find(samples);
  if (found != graphs_.end()) return found->second;
  const Graph& whole = model_.graph(samples);
  SplitPlan plan = plan_split(whole, place_.size, mode_);
  if (by_sequence_) divide_sequence(plan, whole);
  // Shared by all numbers of stages: where one ends between a product and its bias, both are priced in the former.
  PricedGraph priced{divided_graph(whole, plan, place_, {}), {}, hardware_.dispatch_seconds};
  const Graph& graph = priced.split.graph;
  for (NodeId id = 0; id < graph.num_nodes(); ++id)
    priced.seconds.push_back(seconds_of_node(hardware_, graph, graph.node(id), compute_, place_.size));
  return graphs_.emplace(samples, std::move(priced)).first->second;
}

const DividedPrices::Staged& DividedPrices::staged(int num_stages) {
  const auto found = staged_.find(num_stages);
  if (found != staged_.end()) return found->second;
  const CutModel::Cut& cut = model_.cut(num_stages);
  const SplitGraph& split = priced(model_.samples()).split;
  Staged staged;
  for (const NodeId origin : split.origin) staged.stages.push_back(cut.stages[index(origin)]);
  staged.map = std::make_unique<StageMap>(split, staged.stages, num_stages, false);
  staged.uses = std::make_unique<ParameterUses>(split, staged.stages);
  return staged_.emplace(num_stages, std::move(staged)).first->second;
}

const std::vector<StagePrice>& DividedPrices::stages_at(int num_stages, std::int64_t samples) {
  const auto key = std::make_pair(num_stages, static_cast<double>(samples));
  const auto found = stages_.find(key);
  if (found != stages_.end()) return found->second;
  const Staged& of_model = staged(num_stages);
  return stages_.emplace(key, prices_of_stages(priced(samples), *of_model.map, num_stages)).first->second;
}

const std::vector<StagePrice>& DividedPrices::stages(int num_stages, double samples) {
  const std::int64_t below = priced_sizes(samples).back();
  const std::int64_t above = next_size(below);
  const double part = (samples - static_cast<double>(below)) / static_cast<double>(above - below);
  if (part == 0) return stages_at(num_stages, below);
  const auto key = std::make_pair(num_stages, samples);
  const auto found = stages_.find(key);
  if (found != stages_.end()) return found->second;
  const std::vector<StagePrice>& smaller = stages_at(num_stages, below);
  const std::vector<StagePrice>& larger = stages_at(num_stages, above);
  std::vector<StagePrice> prices;
  for (std::size_t stage = 0; stage < smaller.size(); ++stage)
    prices.push_back(between(smaller[stage], larger[stage], part));
  return stages_.emplace(key, std::move(prices)).first->second;
}

const std::vector<PositionWeights>& DividedPrices::weights(const Placement& placement, Placement::Kind kind,
                                                           std::int64_t bucket_bytes) {
  const auto key = std::make_tuple(placement.num_positions(), placement.num_stages(), kind);
  const auto found = weights_.find(key);
  if (found != weights_.end()) return found->second;
  const Staged& of_model = staged(placement.num_stages());
  std::vector<PositionWeights> weights;
  for (int position = 0; position < placement.num_positions(); ++position) {
    const FlatLayout layout = flat_layout(priced(model_.samples()).split, *of_model.uses, placement.stages(position),
                                          place_, bucket_bytes, [](const std::string&) { return true; });
    weights.push_back(weights_of(layout, placement));
  }
  return weights_.emplace(key, std::move(weights)).first->second;
}

}  // namespace dml
