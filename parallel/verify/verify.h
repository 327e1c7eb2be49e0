// The proof that the tasks of all ranks compute the Graph: each rank's divided graph by an algebra of placements
// (division.h), each rank's tasks against its divided graph (rank_tasks.h), ranks against each other (agreement.h),
// that nobody waits for ever (progress.h), and no rank keeps more than its schedule promises (live_passes.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "parallel/model_layout.h"
#include "parallel/verify/finding.h"

namespace dml {

struct Verification {
  int ranks = 0;
  int classes = 0;         ///< ranks whose tasks were looked at: the others have the same, at other coordinates
  std::int64_t tasks = 0;  ///< of all ranks, as are the following
  std::int64_t transfers = 0;
  std::int64_t collectives = 0;
  std::vector<Finding> findings;

  bool holds() const { return findings.empty(); }
  /// "verified: 5312 tasks on 8 ranks compute the model ..." or "not verified: 3 findings in ...", one line.
  std::string summary() const;
};

/// Divides the model and makes the tasks as every rank does, and verifies them. One rank of each class stands for all
/// of it: replicas with as many samples have the same tasks, but for their coordinate; so have tensor indices whose
/// parts have the same shapes, once the divided graph of each is verified. Circles of waits are sought only where all
/// else holds. Throws what making a partition throws.
Verification verify(ModelLayout& layout);
Verification verify(const GraphOfBatch& graph_of, const Mesh& mesh, const PartitionOptions& options);

/// The part of it that is about the tasks: `ranks` as agreement.h wants them. Findings of each rank, then of all.
std::vector<Finding> verify_tasks(std::span<const Partition* const> ranks, bool clips);

}  // namespace dml
