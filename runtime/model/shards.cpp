#include "runtime/model/shards.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "kernels/error.h"
#include "parallel/rank_run.h"
#include "runtime/model/layout_plan.h"
#include "runtime/model/model_source.h"
#include "runtime/model/partition_options.h"
#include "runtime/model/shard_table.h"

namespace dml {
namespace {

constexpr int kSizes = 3;  // follow each other: two give the slopes, the third proves them

void clear_attributes(SplitGraph& split, const std::vector<std::variant<NodeId, MessageNode>>& run) {
  std::set<NodeId> runs;
  for (const auto& item : run) {
    if (const auto* id = std::get_if<NodeId>(&item)) runs.insert(*id);
  }
  for (NodeId id = 0; id < split.graph.num_nodes(); ++id) {
    if (!runs.contains(id)) split.graph.node(id).attrs = {};
  }
}

class ShardWriter {
 public:
  ShardWriter(const Config& config, const std::string& folder)
      : folder_(folder),
        model_(config.model, config.seed),
        mesh_(std::max(config.layout.d, 1), config.layout.p, config.layout.t, config.layout.order) {
    std::int64_t batch =
        config.data.batch > 0 ? config.data.batch : std::max<std::int64_t>(model_.file().written_batch(), 16);
    if (config.data.source.empty()) {
      model_.set_label(likely_label(model_, config.model.loss));
      if (config.data.batch == 0)
        batch = std::max(batch, std::int64_t{mesh_.d()} * std::max(config.layout.microbatches, 1));
    } else {
      const auto data = open_dataset(config.data, model_.data_inputs(), config.seed);
      model_.set_data(*data);
      if (data->is_given_batches()) batch = data->given_batch_size();
    }
    options_ = partition_options(config, batch, &model_.file());
    samples_ = largest_microbatch(mesh_, options_);
  }

  void write() {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) throw IoError(fmt::format("the folder '{}' cannot be made: {}", folder_, error.message()));
    for (int t = 0; t < mesh_.t(); ++t) write_tensor_index(t);
  }

 private:
  const Graph& graph_of(std::int64_t samples) {
    const auto found = graphs_.find(samples);
    return found != graphs_.end() ? found->second : graphs_.emplace(samples, model_.graph(samples, true)).first->second;
  }

  void write_tensor_index(int t) {
    const DividedModel divided =
        divide_model([this](std::int64_t samples) { return graph_of(samples); }, mesh_, t, samples_, options_);
    std::vector<SplitGraph> sizes{*divided.split_of(samples_)};
    std::string obstacle;
    try {
      while (sizes.size() < kSizes)
        sizes.push_back(*divided.split_of(samples_ + static_cast<std::int64_t>(sizes.size())));
    } catch (const ModelError& error) {
      sizes.resize(1);
      obstacle = error.what();
    }
    for (int d = 0; d < mesh_.d(); ++d) {
      for (int p = 0; p < mesh_.p(); ++p) write_rank(divided, sizes, obstacle, mesh_.rank({d, p, t}));
    }
  }

  void write_rank(const DividedModel& divided, std::vector<SplitGraph> sizes, const std::string& obstacle, int rank) {
    const Placement placement = placement_of(mesh_, options_);
    SplitGraph& split = sizes.front();
    GraphFile file;
    file.name = fmt::format("{} rank {}", model_.name(), rank);
    for (SplitGraph& size : sizes) make_names_unique(size.graph);
    file.run = rank_run(split, divided.stages, placement, mesh_, rank);
    for (SplitGraph& size : sizes) clear_attributes(size, file.run);
    const std::span<const int> own_stages = placement.stages(mesh_.coordinate(rank).p);
    const std::vector<ValueId> weights = rank_weights(split, divided.stages, own_stages);
    ShardTable table = table_of(divided, split, rank);
    table.scale = obstacle.empty() ? find_scale(sizes) : SampleScale{{}, obstacle};
    for (int stage = 0; stage < placement.num_stages(); ++stage) table.positions.push_back(placement.position(stage));
    file.notes[kShardTable] = write_table(table);
    keep_part(split, weights, {mesh_.coordinate(rank).t, mesh_.t()});
    file.graph = std::move(split.graph);
    write_graph(file, weights, (std::filesystem::path(folder_) / fmt::format("rank_{}.onnx", rank)).string());
  }

  ShardTable table_of(const DividedModel& divided, const SplitGraph& split, int rank) const {
    ShardTable table;
    table.model = model_.name();
    table.d = mesh_.d();
    table.p = mesh_.p();
    table.t = mesh_.t();
    table.order = mesh_.order();
    table.rank = rank;
    table.mode = divided.mode;
    table.inputs = model_.data_inputs();
    table.samples = samples_;
    table.stages = divided.stages;
    table.origin = split.origin;
    table.shards = split.shards;
    table.summary = divided.summary;
    table.notes = model_.notes();
    table.notes.insert(table.notes.end(), divided.notes.begin(), divided.notes.end());
    return table;
  }

  /// Of what is divided the file holds this rank's part.
  static void keep_part(SplitGraph& split, const std::vector<ValueId>& weights, TensorPlace place) {
    for (const ValueId id : weights) {
      Value& value = split.graph.value(id);
      if (value.role != Role::parameter && value.role != Role::state) continue;
      std::vector<float> part(static_cast<std::size_t>(value.shape.num_elements()));
      read_shard(part.data(), *value.source, split.shards[static_cast<std::size_t>(id)], place);
      value.source = make_source(value.shape, std::move(part));
    }
  }

  const std::string& folder_;
  ModelSource model_;
  Mesh mesh_;
  PartitionOptions options_;
  std::int64_t samples_ = 1;
  std::map<std::int64_t, Graph> graphs_;
};

}  // namespace

void write_shards(const Config& config, const std::string& folder) { ShardWriter(config, folder).write(); }

}  // namespace dml
