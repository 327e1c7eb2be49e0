// dml_allocation D P T: trains gpt_tiny on D·P·T ranks, as threads or, under a launcher, as processes, and fails where
// our own code allocates in a step after the first two, or where a library below it allocates more and more.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <exception>
#include <map>
#include <thread>

#include "parallel/partition.h"
#include "runtime/comm/communicator.h"
#include "runtime/model/model_source.h"
#include "runtime/program/rank_state.h"
#include "tests/allocation/counted_malloc.h"

namespace dml {
namespace {

constexpr int kWarmUp = 2;
constexpr int kCounted = 6;

Config gpt_tiny() {
  Config config;
  config.model.source = DML_TEST_DATA "/fixtures/gpt_tiny.ts17.onnx";
  config.data.source = DML_TEST_DATA "/fixtures/gpt_tiny.ts17.safetensors";
  config.optimizer.clip = 1;
  return config;
}

/// One rank's training, a step at a time.
class Rank {
 public:
  Rank(Communicator& world, const Mesh& mesh)
      : config_(gpt_tiny()),
        model_(config_.model, config_.seed),
        data_(open_dataset(config_.data, model_.data_inputs(), config_.seed)),
        partition_(make(world, mesh)),
        device_(make_cpu_device()),
        state_(partition_, config_.optimizer, world, *device_) {}

  void step(std::int64_t number) {
    state_.begin_step();
    state_.load(*data_, number, data_->given_batch_size(), config_.optimizer.learning_rate, config_.seed);
    state_.run_step();
    state_.finish_step();
  }

 private:
  Partition make(Communicator& world, const Mesh& mesh) {
    model_.set_data(*data_);
    PartitionOptions options;
    options.batch = data_->given_batch_size();
    options.microbatches = mesh.p() > 1 ? 2 : 1;
    options.clips = true;
    options.bucket_bytes = 64 << 10;  // several, although the model is small
    return model_.partition(mesh, world.rank(), options);
  }

  Config config_;
  ModelSource model_;
  std::unique_ptr<Dataset> data_;
  Partition partition_;
  std::unique_ptr<Device> device_;
  RankState state_;
};

/// What the counted steps of a process allocated.
class Verdict {
 public:
  void add(int step, const std::vector<allocation::Calls>& calls) {
    std::string line = fmt::format("step {}:", step);
    for (const auto& [library, count, caller] : calls) {
      if (library.empty()) {
        own_ += count;
        line += fmt::format(" OUR OWN {} (first in {})", count, caller);
      } else {
        line += fmt::format(" {} {}", library, count);
        by_library_[library][static_cast<std::size_t>(step - kWarmUp) / (kCounted / 2)] += count;
      }
    }
    fmt::print("{}\n", line);
  }

  /// True if nothing of our own was counted, and no library called more often in the second half than in the first: by
  /// a few calls it may, since an MPI library's free lists grow when messages happen to meet.
  bool passes() const {
    bool grows = false;
    for (const auto& [library, halves] : by_library_) {
      const bool more = halves[1] > halves[0] + kCounted;
      if (more) fmt::print("{} allocates more from step to step: {}, then {}\n", library, halves[0], halves[1]);
      grows = grows || more;
    }
    return own_ == 0 && !grows;
  }

 private:
  long own_ = 0;
  std::map<std::string, std::array<long, 2>> by_library_;
};

/// All steps of a rank. Between them `meet` brings the ranks of this process together; one of them counts.
template <typename Meet>
void train(Communicator& world, const Mesh& mesh, bool counts, Meet meet, Verdict& verdict) {
  Rank rank(world, mesh);
  for (int step = 0; step < kWarmUp + kCounted; ++step) {
    const bool counted = counts && step >= kWarmUp;
    meet();
    if (counted) allocation::start_counting();
    meet();
    rank.step(step);
    meet();
    if (counted) verdict.add(step, allocation::stop_counting());
  }
}

bool threads_pass(const Mesh& mesh) {
  const auto world = make_thread_world(mesh.world_size(), {});
  std::barrier<> barrier(mesh.world_size());
  Verdict verdict;
  std::vector<std::jthread> threads;
  for (const auto& comm : world) {
    threads.emplace_back([&] {
      train(
          *comm, mesh, comm->rank() == 0, [&] { barrier.arrive_and_wait(); }, verdict);
    });
  }
  threads.clear();
  return verdict.passes();
}

bool process_passes(const Mesh& mesh) {
  auto world = make_mpi_world({});
  Verdict verdict;
  train(
      *world, mesh, true, [&] { world->wait(world->barrier()); }, verdict);
  std::int64_t failures = verdict.passes() ? 0 : 1;
  world->wait(world->all_reduce({&failures, DataType::i64, Shape{1}}));
  world.reset();
  finalize_mpi();
  return failures == 0;
}

}  // namespace
}  // namespace dml

int main(int argc, char** argv) {
  try {
    if (argc != 4) throw std::invalid_argument("usage: dml_allocation D P T");
    const dml::Mesh mesh(std::stoi(argv[1]), std::stoi(argv[2]), std::stoi(argv[3]));
    const bool passes = dml::launcher_environment().size > 0 ? dml::process_passes(mesh) : dml::threads_pass(mesh);
    return passes ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
