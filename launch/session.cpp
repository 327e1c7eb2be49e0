#include "launch/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "launch/cores.h"
#include "launch/failure.h"
#include "launch/options/usage_error.h"
#include "parallel/mesh.h"

namespace dml {
namespace {

constexpr std::int64_t kMostThreads = 4096;

LinkShape link_shape(const ShapedLink& link, const LayoutConfig& layout) {
  LinkShape shape{link.latency_us * 1e-6, link.gbit_per_s * 1e9 / 8, {}};
  if (link.axis == 0) return shape;
  const Mesh mesh(layout.d, layout.p, layout.t, layout.order);
  for (int rank = 0; rank < mesh.world_size(); ++rank) {
    const Coordinate at = mesh.coordinate(rank);
    shape.island.push_back(link.axis == 'd' ? at.d : link.axis == 'p' ? at.p : at.t);
  }
  return shape;
}

CommOptions comm_options(const Config& config) {
  CommOptions options;
  options.deadline = std::chrono::milliseconds(static_cast<std::int64_t>(config.deadline_s * 1e3));
  options.library_collectives = config.collectives == "library";
  if (config.shaped_link) options.shape = link_shape(*config.shaped_link, config.layout);
  return options;
}

int thread_world_size(const LayoutConfig& layout) {
  const std::int64_t ranks = ranks_of(layout);
  if (layout.p > kMostThreads || layout.t > kMostThreads || layout.d > kMostThreads || ranks > kMostThreads) {
    throw UsageError(
        fmt::format("--d {} --p {} --t {}: more than {} ranks cannot be threads of one process; use mpirun",
                    std::max(layout.d, 1), layout.p, layout.t, kMostThreads));
  }
  return static_cast<int>(ranks);
}

bool wants_processes(const Config& config, const LauncherEnvironment& launcher) {
  if (config.comm != "thread") return config.comm == "mpi" || launcher.size > 0;
  if (launcher.size > 1) {
    throw UsageError(
        fmt::format("--comm thread under a launcher would be {} copies of one run: leave out mpirun, or --comm thread",
                    launcher.size));
  }
  return false;
}

/// Failures of ranks that are threads, in the order in which they happened.
class FailureList {
 public:
  void add(int rank, const std::exception_ptr& error) {
    const std::lock_guard lock(mutex_);
    failures_.push_back({rank, error, describe(error)});
  }
  /// Throws the first, if there is any.
  void throw_first(int world_size) const {
    if (failures_.empty()) return;
    const One& first = failures_.front();
    const bool alike = std::all_of(failures_.begin(), failures_.end(),
                                   [&](const One& other) { return other.failure.text == first.failure.text; });
    if (alike && static_cast<int>(failures_.size()) == world_size) std::rethrow_exception(first.error);
    throw RankError(first.rank, first.failure);
  }

 private:
  struct One {
    int rank = 0;
    std::exception_ptr error;
    Failure failure;
  };
  std::mutex mutex_;
  std::vector<One> failures_;
};

void run_one(const Config& config, Communicator& comm, const RankBody& body, FailureList& failures) {
  try {
    use_threads(config.threads);
    body(comm);
  } catch (...) {
    // Noted before the others hear of it, so that the cause stands before what follows from it.
    failures.add(comm.rank(), std::current_exception());
    comm.fail(describe(std::current_exception()).text);
  }
}

void run_threads(const Config& config, int size, const RankBody& body) {
  const auto world = make_thread_world(size, comm_options(config));
  FailureList failures;
  std::vector<std::jthread> threads;
  try {
    for (int rank = 1; rank < size; ++rank) {
      threads.emplace_back([&, rank] { run_one(config, *world[static_cast<std::size_t>(rank)], body, failures); });
    }
  } catch (const std::system_error&) {
    failures.add(
        0, std::make_exception_ptr(DeviceError(fmt::format(
               "the system gives no more than {} threads to the {} ranks of this process", threads.size() + 1, size))));
    world.front()->fail("a rank could not start");
    threads.clear();
    failures.throw_first(size);
  }
  run_one(config, *world.front(), body, failures);
  threads.clear();
  failures.throw_first(size);
}

void run_process(const Config& config, const World& world, const RankBody& body) {
  std::unique_ptr<Communicator> comm = make_mpi_world(comm_options(config));
  if (comm->size() != world.size) {
    throw UsageError(
        fmt::format("the launcher's environment speaks of {} processes, MPI of {}: start dmltrain by the mpirun that "
                    "belongs to its MPI, or by srun --mpi=pmix",
                    world.size, comm->size()));
  }
  try {
    use_threads(config.threads);
    body(*comm);
  } catch (...) {
    comm->fail(describe(std::current_exception()).text);
    // MPI stays as it is until the process is ended: releasing it would wait for ranks that may be gone.
    static_cast<void>(comm.release());
    throw;
  }
  comm.reset();
  finalize_mpi();
}

}  // namespace

std::int64_t ranks_of(const LayoutConfig& layout) {
  const double ranks = 1.0 * std::max(layout.d, 1) * layout.p * layout.t;
  return static_cast<std::int64_t>(std::min(ranks, 1e18));
}

World resolve_world(const Config& config, const LauncherEnvironment& launcher, bool mpi_built) {
  World world;
  world.processes = wants_processes(config, launcher);
  if (!world.processes) {
    if (config.collectives == "library") {
      throw UsageError("--collectives library: ranks are threads, which have no library: start them by mpirun");
    }
    world.size = world.ranks_on_node = thread_world_size(config.layout);
    return world;
  }
  if (!mpi_built) {
    throw UsageError(
        fmt::format("{} wants ranks as processes, but this dmltrain was built without MPI: install libopenmpi-dev and "
                    "build again, or run one process without a launcher (ranks are threads)",
                    config.comm == "mpi" ? "--comm mpi" : fmt::format("a launcher of {} processes", launcher.size)));
  }
  world.size = std::max(launcher.size, 1);
  world.ranks_on_node = launcher.local_size > 0 ? launcher.local_size : world.size;
  return world;
}

int resolve_replicas(const LayoutConfig& layout, const World& world) {
  const std::int64_t model_ranks = std::int64_t{layout.p} * layout.t;
  if (layout.d == 0 && world.size % model_ranks == 0) return static_cast<int>(world.size / model_ranks);
  if (layout.d == 0) {
    throw UsageError(
        fmt::format("{} ranks were started, which is no multiple of p*t = {} (--p {} --t {}): start {} or {} ranks, or "
                    "change p or t",
                    world.size, model_ranks, layout.p, layout.t, model_ranks, 2 * model_ranks));
  }
  const std::int64_t ranks = ranks_of(layout);
  if (ranks != world.size) {
    throw UsageError(
        fmt::format("--d {} --p {} --t {} makes {} ranks, but {} {} started: use mpirun -np {}, or other d, p, t",
                    layout.d, layout.p, layout.t, ranks, world.size, world.size == 1 ? "was" : "were", ranks));
  }
  return layout.d;
}

void run_ranks(const Config& config, const World& world, const RankBody& body) {
  if (world.processes) {
    run_process(config, world, body);
  } else {
    run_threads(config, world.size, body);
  }
}

}  // namespace dml
