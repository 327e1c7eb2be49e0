// The model of a run: an ONNX file or a built-in one, and the graphs that are made of it.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "models/onnx/model_file.h"
#include "parallel/partition.h"
#include "runtime/config.h"
#include "runtime/data/dataset.h"

namespace dml {

/// What a run trains: a whole model, or what a rank's file holds of one.
class RunModel {
 public:
  virtual ~RunModel() = default;
  /// What a data set must fit.
  virtual ModelInputs data_inputs() const = 0;
  /// Tells what the data set feeds; partitions can be made from then on. Throws ModelError where it does not fit.
  virtual void set_data(const Dataset& data) = 0;
  /// A rank's part of the training; the model must stay until it is used no more. Throws ModelError.
  virtual Partition partition(const Mesh& mesh, int rank, const PartitionOptions& options) const = 0;
  /// What was decided that a person may want to know; complete after set_data.
  virtual const std::vector<std::string>& notes() const = 0;
  virtual const std::string& name() const = 0;
};

class ModelSource final : public RunModel {
 public:
  /// Throws IoError and ModelError.
  ModelSource(const ModelConfig& config, std::uint64_t seed);

  ModelInputs data_inputs() const override;
  void set_data(const Dataset& data) override { set_label(data.label()); }
  /// The same without a data set.
  void set_label(const BatchField& label);
  Partition partition(const Mesh& mesh, int rank, const PartitionOptions& options) const override;

  /// Forward, loss, and for training the gradients, of a microbatch of that many samples.
  Graph graph(std::int64_t samples, bool with_gradients) const;
  /// The forward pass alone, with the dims that the data set has.
  Graph forward_graph(std::int64_t samples) const;
  const OnnxModel& file() const { return *file_; }
  const BuildOptions& build_options() const { return options_; }
  const std::vector<std::string>& notes() const override { return notes_; }
  const std::string& name() const override { return config_.source; }

 private:
  /// A forward pass, and what was decided in it.
  struct Forward {
    std::int64_t samples = 0;
    Graph graph;
    std::vector<std::string> notes;
  };

  Graph lowered(std::int64_t samples) const;
  Forward forward(std::int64_t samples) const;

  ModelConfig config_;
  std::shared_ptr<const OnnxModel> file_;
  BuildOptions options_;
  BatchField label_;
  std::vector<std::string> notes_;
  mutable std::mutex mutex_;  ///< of what follows
  mutable Forward latest_;    ///< asked for several times while a run is laid out
};

}  // namespace dml
