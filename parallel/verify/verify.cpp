#include "parallel/verify/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "parallel/verify/agreement.h"
#include "parallel/verify/comm_key.h"
#include "parallel/verify/division.h"
#include "parallel/verify/progress.h"
#include "parallel/verify/rank_tasks.h"

namespace dml {
namespace {

void append(std::vector<Finding>& findings, std::vector<Finding> more) {
  std::ranges::move(more, std::back_inserter(findings));
}

/// Ranks that differ in one coordinate alone and have the same tasks: the first, and how many they are.
struct SameRanks {
  int first = 0;
  int count = 0;
};

/// The samples of a replica decide its microbatches.
std::vector<SameRanks> replica_classes(const Mesh& mesh, std::int64_t batch) {
  std::map<std::int64_t, SameRanks> by_samples;
  for (int d = 0; d < mesh.d(); ++d)
    ++by_samples.try_emplace(part_size(batch, mesh.d(), d), SameRanks{d, 0}).first->second.count;
  std::vector<SameRanks> classes;
  for (const auto& [samples, replicas] : by_samples) classes.push_back(replicas);
  return classes;
}

class Verifier {
 public:
  Verifier(const GraphOfBatch& graph_of, const Mesh& mesh, const PartitionOptions& options)
      : graph_of_(graph_of),
        mesh_(mesh),
        options_(options),
        model_(divide_model([this](std::int64_t samples) { return whole(samples); }, mesh, 0,
                            largest_microbatch(mesh, options), options)),
        replicas_(replica_classes(mesh, options.batch)) {}

  Verification run() {
    result_.ranks = mesh_.world_size();
    find_tensor_classes();
    std::vector<const Partition*> ranks;
    for (const SameRanks& replica : replicas_) {
      for (const SameRanks& tensor : tensors_) {
        for (int p = 0; p < mesh_.p(); ++p) {
          ranks.push_back(&partition({replica.first, p, tensor.first}));
          count(*ranks.back(), std::int64_t{replica.count} * tensor.count);
        }
      }
    }
    result_.classes = static_cast<int>(ranks.size());
    append(result_.findings, verify_tasks(ranks, options_.clips));
    return std::move(result_);
  }

 private:
  const Graph& whole(std::int64_t samples) {
    const auto found = wholes_.find(samples);
    return found != wholes_.end() ? found->second : wholes_.emplace(samples, graph_of_(samples)).first->second;
  }

  /// As divide_model has it: one plan for all tensor indices.
  const SplitGraph& split(int tensor_index, std::int64_t samples) {
    const auto key = std::pair(tensor_index, samples);
    const auto found = splits_.find(key);
    if (found != splits_.end()) return found->second;
    auto plan = plans_.find(samples);
    if (plan == plans_.end()) plan = plans_.emplace(samples, plan_split(whole(samples), mesh_.t(), model_.mode)).first;
    return splits_.emplace(key, split_graph(whole(samples), plan->second, {tensor_index, mesh_.t()})).first->second;
  }

  /// What decides the stages and the schedule is the same for all tensor indices.
  const Partition& partition(const Coordinate& at) {
    model_.split_of = [this, at](std::int64_t samples) { return split(at.t, samples); };
    partitions_.push_back(std::make_unique<Partition>(make_partition(model_, mesh_, mesh_.rank(at), options_)));
    return *partitions_.back();
  }

  std::set<std::int64_t> microbatch_sizes() const {
    std::set<std::int64_t> sizes;
    for (const SameRanks& replica : replicas_) {
      const std::int64_t part = part_size(options_.batch, mesh_.d(), replica.first);
      for (int m = 0; m < options_.microbatches; ++m) sizes.insert(part_size(part, options_.microbatches, m));
    }
    return sizes;
  }

  /// Verifies the divided graphs of every tensor index, and finds those whose parts are alike.
  void find_tensor_classes() {
    std::map<std::vector<std::int64_t>, SameRanks> by_shapes;
    for (int t = 0; t < mesh_.t(); ++t) {
      std::vector<std::int64_t> shapes;  // of all values, each with its number of dims before it
      for (const std::int64_t samples : microbatch_sizes()) {
        for (const Value& value : split(t, samples).graph.values()) {
          shapes.push_back(value.shape.rank());
          shapes.insert(shapes.end(), value.shape.begin(), value.shape.end());
        }
        append(result_.findings, verify_division(whole(samples), split(t, samples), {t, mesh_.t()}));
      }
      ++by_shapes.try_emplace(std::move(shapes), SameRanks{t, 0}).first->second.count;
    }
    for (const auto& [shapes, tensors] : by_shapes) tensors_.push_back(tensors);
  }

  void count(const Partition& rank, std::int64_t times) {
    for (const Task& task : rank.tasks.tasks) {
      result_.tasks += times;
      result_.collectives += is_collective(task) ? times : 0;
      result_.transfers += task.kind == TaskKind::send ? times : 0;
    }
  }

  const GraphOfBatch& graph_of_;
  const Mesh& mesh_;
  const PartitionOptions& options_;
  std::map<std::int64_t, Graph> wholes_;                       ///< by samples
  std::map<std::int64_t, SplitPlan> plans_;                    ///< by samples
  std::map<std::pair<int, std::int64_t>, SplitGraph> splits_;  ///< by tensor index and samples
  DividedModel model_;
  std::vector<SameRanks> replicas_;
  std::vector<SameRanks> tensors_;
  std::vector<std::unique_ptr<Partition>> partitions_;
  Verification result_;
};

}  // namespace

std::string Verification::summary() const {
  if (!holds())
    return fmt::format("not verified: {} finding{} in {} tasks on {} ranks", findings.size(),
                       findings.size() == 1 ? "" : "s", tasks, ranks);
  return fmt::format(
      "verified: {} tasks on {} ranks compute the model ({} ranks stand for all), {} messages and {} parts in "
      "collectives match, nobody waits for ever",
      tasks, ranks, classes, transfers, collectives);
}

Verification verify(const GraphOfBatch& graph_of, const Mesh& mesh, const PartitionOptions& options) {
  return Verifier(graph_of, mesh, options).run();
}

std::vector<Finding> verify_tasks(std::span<const Partition* const> ranks, bool clips) {
  std::vector<Finding> findings;
  for (const Partition* rank : ranks) append(findings, verify_rank(*rank, clips));
  append(findings, verify_transfers(ranks));
  append(findings, verify_collectives(ranks));
  if (findings.empty()) append(findings, verify_progress(ranks));
  return findings;
}

}  // namespace dml
