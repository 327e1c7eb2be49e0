// The prices of a model divided over the tensor axis: computed once for each number of stages and a few sizes of
// microbatches, and shared by all layouts of the same t and tensor mode.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "parallel/cost/hardware.h"
#include "parallel/partition.h"
#include "parallel/plan/stage_price.h"

namespace dml {

/// The whole model, cut for numbers of stages. Several threads may ask at once.
class CutModel {
 public:
  struct Cut {
    std::vector<int> stages;       ///< by node
    std::vector<StageCost> costs;  ///< by stage, as training plans searched schedules by
  };

  /// The names of the nodes after which all stages but the last end, as cut_stages takes them; none: by cost.
  using Ends = std::function<std::vector<std::string>(const Graph& graph, int num_stages)>;

  /// Cuts by the graph of `samples` samples; training cuts by its own largest microbatch, where a place may differ.
  CutModel(
      GraphOfBatch graph_of, std::int64_t samples,
      Ends ends = [](const Graph&, int) { return std::vector<std::string>{}; })
      : graph_of_(std::move(graph_of)), samples_(samples), ends_(std::move(ends)) {}

  const Graph& graph(std::int64_t samples);
  std::int64_t samples() const { return samples_; }
  /// Throws ModelError where the model has fewer places.
  const Cut& cut(int num_stages);

 private:
  const Graph& kept_graph(std::int64_t samples);

  GraphOfBatch graph_of_;
  std::int64_t samples_;
  Ends ends_;
  std::mutex mutex_;  ///< of what follows; what was made stays where it is
  std::map<std::int64_t, Graph> graphs_;
  std::map<int, Cut> cuts_;
  std::map<int, std::string> refused_;
};

/// The weights of a pipeline position: elements of a flat buffer, and how gradients are summed.
struct PositionWeights {
  double elems = 0;
  std::vector<double> buckets;                       ///< bytes of each gradient bucket, in the order of completion
  std::vector<std::pair<double, int>> tied_buckets;  ///< bytes, and how many positions share it
  std::vector<double> last_buckets;                  ///< bytes of those that are summed over the tensor axis first
};

/// The sizes of microbatches up to `samples` for which graphs are made, ascending: 1, 2, 4, 8, and from there on every
/// fourth power, where kernels are large and times grow with the size.
std::vector<std::int64_t> priced_sizes(double samples);

/// Of the last rank of the tensor axis, which has the largest parts; `by_sequence` as in sequence_parts.h.
class DividedPrices {
 public:
  DividedPrices(CutModel& model, int t, SplitMode mode, bool by_sequence, const Hardware& hardware,
                const ComputeMode& compute);

  /// False where nothing in the model is divided by t.
  bool divides() const { return divides_; }
  /// By stage. `samples` are those of a microbatch, in the mean; between the priced sizes prices are interpolated.
  const std::vector<StagePrice>& stages(int num_stages, double samples);
  /// By position.
  const std::vector<PositionWeights>& weights(const Placement& placement, Placement::Kind kind,
                                              std::int64_t bucket_bytes);

 private:
  /// What is the same for all sizes.
  struct Staged {
    std::vector<int> stages;  ///< by node of the split graphs
    std::unique_ptr<StageMap> map;
    std::unique_ptr<ParameterUses> uses;
  };
  const PricedGraph& priced(std::int64_t samples);
  const Staged& staged(int num_stages);
  const std::vector<StagePrice>& stages_at(int num_stages, std::int64_t samples);

  CutModel& model_;
  TensorPlace place_;
  SplitMode mode_;
  bool by_sequence_;
  const Hardware& hardware_;
  ComputeMode compute_;
  bool divides_ = true;
  std::map<std::int64_t, PricedGraph> graphs_;
  std::map<int, Staged> staged_;
  std::map<std::pair<int, double>, std::vector<StagePrice>> stages_;
  std::map<std::tuple<int, int, Placement::Kind>, std::vector<PositionWeights>> weights_;
};

}  // namespace dml
