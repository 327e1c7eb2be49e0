// The partitions of all ranks of a layout, for tests that look at tasks together.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "parallel/model_layout.h"
#include "tests/parallel/training_graphs.h"

namespace dml::test {

struct VerifiedLayout {
  int d = 1, p = 1, t = 1;
  int microbatches = 1;
  std::string schedule = "1f1b";
  std::string model = "gpt:layers=2,width=12,heads=3,seq=4,vocab=7,tied=1";
  std::int64_t batch = 6;
  SplitMode mode = SplitMode::megatron;
  bool clips = true;
  bool forward_only = false;
  Techniques techniques = {};
};

inline std::string text_of(const VerifiedLayout& layout) {
  return "d=" + std::to_string(layout.d) + " p=" + std::to_string(layout.p) + " t=" + std::to_string(layout.t) +
         " m=" + std::to_string(layout.microbatches) + " batch=" + std::to_string(layout.batch) + " " +
         layout.schedule + (layout.mode == SplitMode::gather ? " gather " : " megatron ") +
         layout.techniques.to_options() + " " + layout.model;
}

inline PartitionOptions options_of(const VerifiedLayout& layout) {
  PartitionOptions options;
  options.schedule = layout.schedule;
  options.batch = layout.batch;
  options.microbatches = layout.microbatches;
  options.tensor_auto = false;
  options.tensor_mode = layout.mode;
  options.bucket_bytes = 512;
  options.clips = layout.clips;
  options.forward_only = layout.forward_only;
  options.techniques = layout.techniques;
  return options;
}

/// The training graph of a built-in model, or of "fixture:NAME", with techniques: made once for each number of samples.
class ModelGraphs {
 public:
  explicit ModelGraphs(std::string model, Techniques techniques = {})
      : model_(std::move(model)), techniques_(techniques) {}
  const Graph& of(std::int64_t samples) {
    const auto found = graphs_.find(samples);
    if (found != graphs_.end()) return found->second;
    const std::string fixture = "fixture:";
    Graph graph = model_.starts_with(fixture) ? fixture_graph(model_.substr(fixture.size()), samples)
                                              : zoo_graph(model_, samples);
    return graphs_.emplace(samples, with_techniques(std::move(graph), techniques_)).first->second;
  }

 private:
  std::string model_;
  Techniques techniques_;
  std::map<std::int64_t, Graph> graphs_;
};

/// All ranks of a layout, in rank order, each at an address of its own.
struct World {
  explicit World(const VerifiedLayout& layout)
      : layout(layout),
        mesh(layout.d, layout.p, layout.t),
        options(options_of(layout)),
        graphs(layout.model, layout.techniques) {
    ModelLayout model([this](std::int64_t samples) { return graphs.of(samples); }, mesh, options);
    for (int rank = 0; rank < mesh.world_size(); ++rank)
      ranks.push_back(std::make_unique<Partition>(model.partition(rank)));
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  std::vector<const Partition*> set() const {
    std::vector<const Partition*> all;
    for (const auto& rank : ranks) all.push_back(rank.get());
    return all;
  }

  VerifiedLayout layout;
  Mesh mesh;
  PartitionOptions options;
  ModelGraphs graphs;
  std::vector<std::unique_ptr<Partition>> ranks;
};

}  // namespace dml::test
