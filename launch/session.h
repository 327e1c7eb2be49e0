// The world of a run: which ranks there are, whether they are processes or threads, and the running of all of them.
#pragma once

#include <cstdint>
#include <functional>

#include "runtime/comm/communicator.h"
#include "runtime/config.h"

namespace dml {

struct World {
  bool processes = false;  ///< MPI processes, of which this is one; otherwise all ranks are threads of this process
  int size = 1;
  int ranks_on_node = 1;
};

/// What d, p and t come to, an absent d counted as 1; absurd numbers come to something large.
std::int64_t ranks_of(const LayoutConfig& layout);

/// Follows --comm, the launcher's environment and the layout. Throws UsageError where they contradict each other, with
/// the numbers.
World resolve_world(const Config& config, const LauncherEnvironment& launcher, bool mpi_built);

/// The number of replicas: --d, or what remains of the world. Throws UsageError where d·p·t is not the world.
int resolve_replicas(const LayoutConfig& layout, const World& world);

using RankBody = std::function<void(Communicator& world)>;

/// Runs `body` on every rank that lives in this process, with config.threads OpenMP threads each, and returns when all
/// are done. Where ranks fail, the others are told, all threads are joined, and the first failure is thrown: as it was
/// where all ranks failed alike, else as RankError.
void run_ranks(const Config& config, const World& world, const RankBody& body);

}  // namespace dml
