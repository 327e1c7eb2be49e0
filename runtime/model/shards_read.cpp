// Training from a rank's file: the graphs of all microbatch sizes from the one that it holds.
#include <fmt/format.h>

#include <filesystem>
#include <vector>

#include "kernels/error.h"
#include "models/onnx/graph_file.h"
#include "parallel/rank_run.h"
#include "runtime/model/model_source.h"
#include "runtime/model/shard_table.h"
#include "runtime/model/shards.h"

namespace dml {
namespace {

std::string path_of(const std::string& folder, int rank) {
  return (std::filesystem::path(folder) / fmt::format("rank_{}.onnx", rank)).string();
}

const char* name_of(SplitMode mode) { return mode == SplitMode::gather ? "gather" : "megatron"; }

/// What is asked of a run that its shards have decided already, or that needs the whole model.
std::string misplaced_options(const Config& config) {
  const ModelConfig& model = config.model;
  std::string names;
  const auto add = [&](bool given, const char* name) {
    if (given) names += (names.empty() ? "--" : ", --") + std::string(name);
  };
  add(!model.dims.empty(), "dim");
  add(model.loss != "auto", "loss");
  add(!model.train.empty(), "train");
  add(!model.freeze.empty(), "freeze");
  add(!model.tie.empty(), "tie");
  add(!model.untie.empty(), "untie");
  add(!config.layout.cut.empty(), "cut");
  return names;
}

class ShardModel final : public RunModel {
 public:
  ShardModel(const std::string& folder, int rank) : path_(path_of(folder, rank)), file_(read_graph(path_)) {
    const auto text = file_.notes.find(kShardTable);
    if (text == file_.notes.end()) fail("it was not written by `dmltrain model partition`");
    try {
      table_ = read_table(text->second, file_.graph);
    } catch (const ModelError& error) {
      fail(error.what());
    }
    if (table_.rank != rank) fail(fmt::format("it is the file of rank {}", table_.rank));
  }

  const ShardTable& table() const { return table_; }

  void check(const LayoutConfig& asked) const {
    const bool same = asked.d == table_.d && asked.p == table_.p && asked.t == table_.t && asked.order == table_.order;
    if (!same) {
      fail(fmt::format("it is of d={} p={} t={} in the order {}, not of --d {} --p {} --t {} --order {}", table_.d,
                       table_.p, table_.t, table_.order, asked.d, asked.p, asked.t, asked.order));
    }
    const SplitMode mode = asked.tensor_mode == TensorMode::gather ? SplitMode::gather : SplitMode::megatron;
    if (asked.tensor_mode != TensorMode::automatic && table_.t > 1 && mode != table_.mode) {
      fail(fmt::format("it was divided with --tensor-mode {}, not {}", name_of(table_.mode), name_of(mode)));
    }
  }

  ModelInputs data_inputs() const override { return table_.inputs; }

  void set_data(const Dataset& data) override {
    const Graph& graph = file_.graph;
    if (graph.label == kNone) return;
    const Value& label = graph.value(graph.label);
    Shape shape{label.shape.rank() > 0 ? label.shape[0] : 1};
    for (const std::int64_t extent : data.label().sample_shape) shape.push_back(extent);
    if (shape == label.shape && data.label().dtype == label.dtype) return;
    fail(
        fmt::format("its loss takes labels {} {} (of {} samples), the data has {} {}: give model partition the same "
                    "--data, or --loss",
                    dml::name_of(label.dtype), label.shape.to_string(), table_.samples,
                    dml::name_of(data.label().dtype), shape.to_string()));
  }

  Partition partition(const Mesh& mesh, int rank, const PartitionOptions& options) const override {
    check_run(mesh, rank, placement_of(mesh, options));
    DividedModel model;
    model.split_of = [this](std::int64_t samples) { return std::make_shared<const SplitGraph>(split_of(samples)); };
    model.stages = table_.stages;
    model.mode = table_.mode;
    model.summary = table_.summary;
    return make_partition(model, mesh, rank, options);
  }

  const std::vector<std::string>& notes() const override { return table_.notes; }
  const std::string& name() const override { return table_.model; }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw ModelError(fmt::format("'{}': {}", path_, what)); }

  /// The file's nodes must be those that the rank of such a model runs.
  void check_run(const Mesh& mesh, int rank, const Placement& placement) const {
    std::vector<int> positions;
    for (int stage = 0; stage < placement.num_stages(); ++stage) positions.push_back(placement.position(stage));
    if (positions != table_.positions)
      fail(fmt::format("it has {} stages, the schedule {}", table_.positions.size(), positions.size()));
    bool fits = false;
    try {
      fits = rank_run(split_of(table_.samples), table_.stages, placement, mesh, rank) == file_.run;
    } catch (const std::logic_error& error) {
      fail(fmt::format("its stages contradict its nodes: {}", error.what()));
    }
    if (!fits) fail(fmt::format("its nodes are not those that rank {} runs", rank));
  }

  SplitGraph split_of(std::int64_t samples) const {
    SplitGraph split{file_.graph, table_.origin, table_.shards};
    if (samples == table_.samples) return split;
    if (!table_.scale.obstacle.empty()) {
      fail(fmt::format(
          "it is of microbatches of {} samples, not {}, and cannot change: {}; give model partition the same "
          "--batch and --microbatches",
          table_.samples, samples, table_.scale.obstacle));
    }
    try {
      return scaled(split, table_.scale, samples - table_.samples);
    } catch (const ModelError& error) {
      fail(error.what());
    }
  }

  std::string path_;
  GraphFile file_;
  ShardTable table_;
};

}  // namespace

std::unique_ptr<RunModel> open_shard(const Config& config, int rank) {
  const std::string misplaced = misplaced_options(config);
  if (!misplaced.empty()) {
    throw ModelError(
        fmt::format("{} with --shards: that is decided by model partition, when the shards are written", misplaced));
  }
  if (!config.save.empty()) {
    throw ModelError(fmt::format(
        "--save {} with --shards: the original file is needed for that; --dump writes the weights", config.save));
  }
  auto model = std::make_unique<ShardModel>(config.model.shards, rank);
  model->check(config.layout);
  return model;
}

LayoutConfig layout_of_shards(LayoutConfig asked, const std::string& folder, int rank) {
  const ShardModel model(folder, rank);
  const ShardTable& table = model.table();
  if (asked.d == 0 && asked.p == 1 && asked.t == 1) {
    asked.p = table.p;
    asked.t = table.t;
    asked.d = table.d;
  }
  if (asked.d == 0) asked.d = table.d;
  if (asked.order == LayoutConfig().order) asked.order = table.order;
  model.check(asked);
  return asked;
}

}  // namespace dml
