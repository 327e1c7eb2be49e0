#include "parallel/verify/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "models/index.h"
#include "parallel/verify/agreement.h"
#include "parallel/verify/comm_key.h"
#include "parallel/verify/division.h"
#include "parallel/verify/live_passes.h"
#include "parallel/verify/progress.h"
#include "parallel/verify/rank_tasks.h"

namespace dml {
namespace {

void append(std::vector<Finding>& findings, std::vector<Finding> more) {
  std::ranges::move(more, std::back_inserter(findings));
}

class Verifier {
 public:
  explicit Verifier(ModelLayout& layout) : layout_(layout), mesh_(layout.mesh()) {}

  Verification run() {
    result_.ranks = mesh_.world_size();
    const RankClasses classes(mesh_, replica_classes(mesh_, layout_.options().batch), verify_divisions());
    result_.classes = classes.size();
    std::vector<Partition> partitions;
    partitions.reserve(index(classes.size()));
    std::vector<const Partition*> ranks;
    for (int i = 0; i < classes.size(); ++i) {
      ranks.push_back(&partitions.emplace_back(layout_.partition(classes.first_ranks()[index(i)])));
      count(partitions.back(), classes.count(i));
      if (!layout_.options().given)
        append(result_.findings, verify_live_passes(partitions.back(), find_schedule(layout_.options().schedule)));
    }
    append(result_.findings, verify_tasks(ranks, layout_.options().clips));
    return std::move(result_);
  }

 private:
  /// Verifies the divided graphs of every tensor index. Those whose parts are alike have the same tasks.
  IndexClasses verify_divisions() {
    std::vector<std::vector<std::int64_t>> shapes(index(mesh_.t()));  // of all values, each behind its number of dims
    for (int t = 0; t < mesh_.t(); ++t) {
      for (const std::int64_t samples : layout_.microbatch_sizes()) {
        const auto split = layout_.split(t, samples);
        for (const Value& value : split->graph.values()) {
          shapes[index(t)].push_back(value.shape.rank());
          shapes[index(t)].insert(shapes[index(t)].end(), value.shape.begin(), value.shape.end());
        }
        append(result_.findings, verify_division(layout_.graph(samples), *split, {t, mesh_.t()}));
      }
    }
    return classes_by<std::vector<std::int64_t>>(shapes);
  }

  void count(const Partition& rank, std::int64_t times) {
    for (const Task& task : rank.tasks.tasks) {
      result_.tasks += times;
      result_.collectives += is_collective(task) ? times : 0;
      result_.transfers += task.kind == TaskKind::send ? times : 0;
    }
  }

  ModelLayout& layout_;
  const Mesh& mesh_;
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

Verification verify(ModelLayout& layout) { return Verifier(layout).run(); }

Verification verify(const GraphOfBatch& graph_of, const Mesh& mesh, const PartitionOptions& options) {
  ModelLayout layout(graph_of, mesh, options);
  return verify(layout);
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
