#include "parallel/model_layout.h"

#include <vector>

namespace dml {
namespace {

std::set<std::int64_t> microbatch_sizes_of(const Mesh& mesh, const PartitionOptions& options) {
  std::set<std::int64_t> sizes;
  for (int d = 0; d < mesh.d(); ++d) {
    const std::int64_t part = part_size(options.batch, mesh.d(), d);
    for (int m = 0; m < options.microbatches; ++m) sizes.insert(part_size(part, options.microbatches, m));
  }
  return sizes;
}

}  // namespace

ModelLayout::ModelLayout(GraphOfBatch graph_of, const Mesh& mesh, const PartitionOptions& options)
    : graph_of_(std::move(graph_of)),
      mesh_(mesh),
      options_(options),
      divided_(divide_model([this](std::int64_t samples) { return graph(samples); }, mesh, 0,
                            largest_microbatch(mesh, options), options)) {
  sizes_ = microbatch_sizes_of(mesh, options);
}

const Graph& ModelLayout::graph(std::int64_t samples) {
  const auto found = graphs_.find(samples);
  return found != graphs_.end() ? found->second : graphs_.emplace(samples, graph_of_(samples)).first->second;
}

const SplitPlan& ModelLayout::plan(std::int64_t samples) {
  const auto found = plans_.find(samples);
  if (found != plans_.end()) return found->second;
  return plans_.emplace(samples, split_plan_of(graph(samples), mesh_.t(), divided_.mode, options_)).first->second;
}

std::shared_ptr<const SplitGraph> ModelLayout::split(int tensor_index, std::int64_t samples) {
  auto& split = splits_[{tensor_index, samples}];
  if (split == nullptr) {
    split = std::make_shared<const SplitGraph>(
        divided_graph(graph(samples), plan(samples), {tensor_index, mesh_.t()}, divided_.whole_stages));
  }
  return split;
}

Partition ModelLayout::partition(int rank) {
  const int tensor_index = mesh_.coordinate(rank).t;
  divided_.split_of = [this, tensor_index](std::int64_t samples) { return split(tensor_index, samples); };
  if (!stages_) stages_ = plan_stages(divided_, *split(tensor_index, *sizes_.begin()), mesh_, options_);
  return make_partition(divided_, *stages_, mesh_, rank, options_);
}

RankClasses ModelLayout::classes() {
  std::vector<const SplitPlan*> plans;
  for (const std::int64_t samples : sizes_) plans.push_back(&plan(samples));
  return {mesh_, replica_classes(mesh_, options_.batch), tensor_classes(plans, mesh_.t())};
}

}  // namespace dml
