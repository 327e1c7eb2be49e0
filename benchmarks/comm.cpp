// Times collectives between ranks: our own beside the MPI library's, interleaved in one run, or threads.
//   mpirun -np 8 dml_bench_comm [GROUP] [BUSY_US]     ranks in groups of GROUP (default: all)
//   dml_bench_comm threads RANKS [GROUP] [BUSY_US]
// BUSY_US: the ranks compute so long between two calls of progress, as a step does that overlaps communication.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/comm/communicator.h"

namespace dml {
namespace {

using Clock = std::chrono::steady_clock;

struct Plan {
  int group = 0;  ///< ranks per group; 0: all
  std::chrono::microseconds busy{0};
};

struct Contestant {
  std::string name;
  std::unique_ptr<Communicator> comm;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void compute_for(std::chrono::microseconds time) {
  const auto end = Clock::now() + time;
  while (Clock::now() < end) {
  }
}

void finish(Communicator& comm, Ticket ticket, std::chrono::microseconds busy) {
  while (busy.count() > 0 && !comm.test(ticket)) compute_for(busy);
  comm.wait(ticket);
}

/// Seconds of one call; all ranks of the world start together and the slowest counts.
double time_call(Communicator& world, const std::function<void()>& call) {
  world.wait(world.barrier());
  const auto begin = Clock::now();
  call();
  double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::vector<double> all(static_cast<std::size_t>(world.size()));
  const std::vector<std::int64_t> ones(all.size(), 1);
  world.wait(world.all_gather({all.data(), DataType::f64, {world.size()}}, {&seconds, DataType::f64, {1}}, ones));
  return *std::ranges::max_element(all);
}

using Call = std::function<void(Communicator&)>;

void measure(Communicator& world, std::vector<Contestant>& contestants, const std::string& what, std::size_t bytes,
             const Call& call) {
  const int repeats = bytes >= (8U << 20) ? 15 : bytes >= (1U << 20) ? 31 : 101;
  std::vector<std::vector<double>> times(contestants.size());
  for (int i = -2; i < repeats; ++i) {
    for (std::size_t c = 0; c < contestants.size(); ++c) {
      const double seconds = time_call(world, [&] { call(*contestants[c].comm); });
      if (i >= 0) times[c].push_back(seconds);
    }
  }
  if (world.rank() != 0) return;
  std::string line = fmt::format("{:<12}{:>12} bytes", what, bytes);
  for (std::size_t c = 0; c < contestants.size(); ++c) {
    line += fmt::format("  {} {:10.1f} us", contestants[c].name, 1e6 * median(times[c]));
  }
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

void run(Communicator& world, std::vector<Contestant>& contestants, const Plan& plan) {
  for (const std::size_t kilobytes : {1, 4, 16, 64, 256, 1024, 4096, 32768}) {
    const std::size_t bytes = kilobytes << 10;
    std::vector<float> data(bytes / sizeof(float));
    const auto count = std::ssize(data);
    measure(world, contestants, "all_reduce", bytes, [&](Communicator& comm) {
      finish(comm, comm.all_reduce({data.data(), DataType::f32, {count}}), plan.busy);
    });
  }
  for (const std::size_t bytes : {std::size_t{64} << 10, std::size_t{1} << 20}) {
    std::vector<float> data(bytes / sizeof(float));
    const auto count = std::ssize(data);
    measure(world, contestants, "all_gather", bytes, [&](Communicator& comm) {
      std::vector<std::int64_t> counts;
      counts.reserve(static_cast<std::size_t>(comm.size()));
      for (int r = 0; r < comm.size(); ++r) counts.push_back(part_size(count, comm.size(), r));
      float* mine = data.data() + part_begin(count, comm.size(), comm.rank());
      const std::int64_t my_count = counts[static_cast<std::size_t>(comm.rank())];
      finish(comm, comm.all_gather({data.data(), DataType::f32, {count}}, {mine, DataType::f32, {my_count}}, counts),
             plan.busy);
    });
    measure(world, contestants, "send", bytes, [&](Communicator& comm) {
      const int n = comm.size();
      if (n < 2) return;
      const TensorView view{data.data(), DataType::f32, {count}};
      const bool sends = comm.rank() % 2 == 0;
      const int peer = sends ? comm.rank() + 1 : comm.rank() - 1;
      if (peer < n) finish(comm, sends ? comm.send(view, peer, 0) : comm.receive(view, peer, 0), plan.busy);
    });
  }
}

std::unique_ptr<Communicator> part_of(Communicator& world, const Plan& plan) {
  const int group = plan.group > 0 ? plan.group : world.size();
  return world.split(world.rank() / group, world.rank());
}

void run_mpi(const Plan& plan) {
  const auto own = make_mpi_world({});
  CommOptions options;
  options.library_collectives = true;
  const auto library = make_mpi_world(options);
  std::vector<Contestant> contestants;
  contestants.push_back({"own", part_of(*own, plan)});
  contestants.push_back({"library", part_of(*library, plan)});
  run(*own, contestants, plan);
}

void run_threads(int ranks, const Plan& plan) {
  auto worlds = make_thread_world(ranks, {});
  std::vector<std::thread> threads;
  threads.reserve(worlds.size());
  for (auto& world : worlds) {
    threads.emplace_back([&world, plan] {
      std::vector<Contestant> contestants;
      contestants.push_back({"threads", part_of(*world, plan)});
      run(*world, contestants, plan);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

Plan parse_plan(int argc, char** argv, int first) {
  Plan plan;
  if (argc > first) plan.group = std::atoi(argv[first]);
  if (argc > first + 1) plan.busy = std::chrono::microseconds(std::atoi(argv[first + 1]));
  return plan;
}

}  // namespace
}  // namespace dml

int main(int argc, char** argv) {
  try {
    if (argc > 2 && std::strcmp(argv[1], "threads") == 0) {
      dml::run_threads(std::atoi(argv[2]), dml::parse_plan(argc, argv, 3));
    } else {
      dml::run_mpi(dml::parse_plan(argc, argv, 1));
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    dml::exit_all(1);
  }
  dml::finalize_mpi();
  return 0;
}
