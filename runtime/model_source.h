// The model of a run: an ONNX file or a built-in one, and the graphs that are made of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/onnx/model_file.h"
#include "runtime/config.h"
#include "runtime/data/dataset.h"

namespace dml {

class ModelSource {
 public:
  /// Throws IoError and ModelError.
  ModelSource(const ModelConfig& config, std::uint64_t seed);

  /// What a data set must fit.
  ModelInputs data_inputs() const;
  /// Tells what the data set feeds; graphs can be made from then on.
  void set_data(const Dataset& data);

  /// Forward, loss, and for training the gradients, of a microbatch of that many samples.
  Graph graph(std::int64_t samples, bool with_gradients) const;
  /// The forward pass alone, with the dims that the data set has.
  Graph forward_graph(std::int64_t samples) const;
  const OnnxModel& file() const { return *file_; }
  const BuildOptions& build_options() const { return options_; }
  /// What was decided that a person may want to know; complete after set_data.
  const std::vector<std::string>& notes() const { return notes_; }
  const std::string& name() const { return config_.source; }

 private:
  Graph lowered(std::int64_t samples) const;

  ModelConfig config_;
  std::shared_ptr<const OnnxModel> file_;
  BuildOptions options_;
  BatchField label_;
  std::vector<std::string> notes_;
};

}  // namespace dml
