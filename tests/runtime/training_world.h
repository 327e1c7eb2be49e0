// Whole ranks as threads, trained for a few steps on samples that are made up, and what they then hold, put together.
#pragma once

#include <cmath>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kernels/error.h"
#include "runtime/program/rank_state.h"
#include "tests/parallel/training_graphs.h"

namespace dml::test {

/// Samples whose elements follow from (sample, field, place): floats in [-1, 1), classes in [0, classes), every ninth
/// label of a sequence not counted.
class MadeUpDataset final : public Dataset {
 public:
  /// Fields as the graph of one sample has them.
  explicit MadeUpDataset(const Graph& graph) : Dataset(describe(graph)), classes_(graph.shape(graph.output).back()) {
    for (const ValueId id : graph.inputs) rows_.push_back(rows_looked_up(graph, id));
  }

 private:
  static BatchField field_of(const Value& value) {
    return {value.name, value.dtype, Shape(std::span(value.shape.begin() + 1, value.shape.end()))};
  }

  static Description describe(const Graph& graph) {
    Description description;
    for (const ValueId id : graph.inputs) description.inputs.push_back(field_of(graph.value(id)));
    description.label = field_of(graph.value(graph.label));
    description.range = {0, 1000};
    description.text = "made up";
    return description;
  }

  static std::uint64_t scramble(std::uint64_t x) {  // SplitMix64's output function
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
  }

  static std::uint64_t draw(std::int64_t id, int field, std::int64_t place) {
    return scramble(static_cast<std::uint64_t>(id * 1'000'003 + field * 10'007 + place + 1) * 0x9e3779b97f4a7c15U);
  }

  bool is_label(int field) const { return field == static_cast<int>(inputs().size()); }

  std::int64_t class_of(std::int64_t id, int field, std::int64_t place) const {
    const std::int64_t limit = is_label(field) ? classes_ : rows_[static_cast<std::size_t>(field)];
    const bool left_out =
        is_label(field) && label().sample_shape.num_elements() > 1 && draw(id, field + 7, place) % 9 == 0;
    return left_out ? -100 : static_cast<std::int64_t>(draw(id, field, place) % static_cast<std::uint64_t>(limit));
  }

  void read_field(std::span<const std::int64_t> ids, int field, void* out) const override {
    const BatchField& f = is_label(field) ? label() : inputs()[static_cast<std::size_t>(field)];
    const std::int64_t elements = f.sample_shape.num_elements();
    for (std::size_t row = 0; row < ids.size(); ++row) {
      for (std::int64_t i = 0; i < elements; ++i) {
        const std::size_t to = row * static_cast<std::size_t>(elements) + static_cast<std::size_t>(i);
        if (f.dtype == DataType::f32) {
          static_cast<float*>(out)[to] = static_cast<float>(draw(ids[row], field, i) % 2000) * 1e-3F - 1;
        } else {
          static_cast<std::int64_t*>(out)[to] = class_of(ids[row], field, i);
        }
      }
    }
  }

  std::int64_t count_targets(std::span<const std::int64_t> ids) const override {
    const int field = static_cast<int>(inputs().size());
    const std::int64_t elements = label().sample_shape.num_elements();
    if (label().dtype == DataType::f32) return elements * static_cast<std::int64_t>(ids.size());
    std::int64_t count = 0;
    for (const std::int64_t id : ids) {
      for (std::int64_t i = 0; i < elements; ++i) count += class_of(id, field, i) >= 0 ? 1 : 0;
    }
    return count;
  }

  std::int64_t classes_;
  std::vector<std::int64_t> rows_;
};

struct TrainedLayout {
  int d = 1, p = 1, t = 1;
  int microbatches = 1;
  std::string schedule = "1f1b";
  SplitMode mode = SplitMode::megatron;
  std::vector<std::string> cut = {};
  std::string order = "dpt";
};

inline OptimizerConfig sgd(double learning_rate, double momentum = 0, double clip = 0) {
  OptimizerConfig optimizer;
  optimizer.kind = OptimizerKind::sgd;
  optimizer.learning_rate = learning_rate;
  optimizer.momentum = momentum;
  optimizer.clip = clip;
  return optimizer;
}

/// A model, and how it is trained.
struct Training {
  std::function<Graph(std::int64_t samples)> graph_of;
  std::int64_t batch = 12;
  int steps = 3;
  OptimizerConfig optimizer = sgd(0.1, 0.9, 1.0);
  std::int64_t bucket_bytes = 2048;
};

/// What a run leaves behind, of all ranks together.
struct Trained {
  std::vector<double> losses, norms;
  std::map<std::string, std::vector<float>> weights, states;
};

inline PartitionOptions options_of(const Training& training, const TrainedLayout& layout) {
  PartitionOptions options;
  options.schedule = layout.schedule;
  options.batch = training.batch;
  options.microbatches = layout.microbatches;
  options.tensor_auto = false;
  options.tensor_mode = layout.mode;
  options.cut = layout.cut;
  options.bucket_bytes = training.bucket_bytes;
  options.clips = training.optimizer.clip > 0;
  return options;
}

using RankBody = std::function<void(RankState& state, const Dataset& data)>;

/// Runs `body` on every rank of a world of threads; throws the first error of any.
inline void on_all_ranks(const Training& training, const TrainedLayout& layout, const RankBody& body) {
  const Mesh mesh(layout.d, layout.p, layout.t, layout.order);
  std::map<std::int64_t, Graph> graphs;
  std::mutex lock;
  const GraphOfBatch graph_of = [&](std::int64_t samples) {
    const std::lock_guard guard(lock);
    const auto found = graphs.find(samples);
    return found != graphs.end() ? found->second : graphs.emplace(samples, training.graph_of(samples)).first->second;
  };
  const MadeUpDataset data(training.graph_of(1));
  auto worlds = make_thread_world(mesh.world_size(), {.deadline = std::chrono::seconds(60)});
  std::exception_ptr failure;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < mesh.world_size(); ++rank) {
    threads.emplace_back([&, rank] {
      const std::unique_ptr<Communicator> world = std::move(worlds[static_cast<std::size_t>(rank)]);
      const std::unique_ptr<Device> device = make_cpu_device();
      std::optional<Partition> partition;  // both outlive what is in flight
      std::optional<RankState> state;
      try {
        partition.emplace(make_partition(graph_of, mesh, rank, options_of(training, layout)));
        state.emplace(*partition, training.optimizer, *world, *device);
        body(*state, data);
      } catch (...) {
        {
          const std::lock_guard guard(lock);
          if (!failure) failure = std::current_exception();
        }
        world->fail("a rank failed");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

inline void run_step(RankState& state, const Dataset& data, const Training& training, std::int64_t step) {
  state.begin_step();
  state.load(data, step, training.batch, training.optimizer.learning_rate, 5);
  state.run_step();
  state.finish_step();
}

/// Puts a rank's part of a tensor in its place.
inline void put(std::vector<float>& whole, const float* part, const ShardSpec& spec, TensorPlace place) {
  whole.resize(static_cast<std::size_t>(spec.global_shape.num_elements()));
  for (const ShardRun& run : shard_runs(spec.global_shape, spec.sharding, place)) {
    std::copy_n(part + run.local_begin, run.count, whole.begin() + run.global_begin);
  }
}

inline void collect(Trained& trained, RankState& state) {
  const Partition& partition = state.partition();
  for (const Segment& segment : partition.layout.segments) {
    put(trained.weights[segment.spec.name], state.flat(FlatBuffer::parameters) + segment.begin, segment.spec,
        partition.place());
  }
  if (partition.at.d > 0) return;
  for (const auto& [id, view] : state.program().states()) {
    const ShardSpec& spec = partition.split().shards[static_cast<std::size_t>(id)];
    put(trained.states[spec.name], view.f32(), spec, partition.place());
  }
}

inline Trained train_on_threads(const Training& training, const TrainedLayout& layout) {
  Trained trained;
  std::mutex lock;
  on_all_ranks(training, layout, [&](RankState& state, const Dataset& data) {
    std::vector<double> losses, norms;
    for (int step = 0; step < training.steps; ++step) {
      run_step(state, data, training, step);
      losses.push_back(state.totals().loss);
      norms.push_back(std::sqrt(state.totals().square_norm));
    }
    const std::lock_guard guard(lock);
    if (!trained.losses.empty()) {
      EXPECT_EQ(losses, trained.losses) << "ranks disagree";
      EXPECT_EQ(norms, trained.norms) << "ranks disagree";
    }
    trained.losses = losses;
    trained.norms = norms;
    collect(trained, state);
  });
  return trained;
}

}  // namespace dml::test
