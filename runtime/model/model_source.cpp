#include "runtime/model/model_source.h"

#include <algorithm>
#include <iterator>

#include "models/autodiff.h"
#include "models/loss.h"
#include "models/op.h"
#include "models/rewrite/fuse.h"
#include "models/trainable.h"
#include "models/zoo/zoo.h"

namespace dml {
namespace {

BuildOptions options_of(const ModelConfig& config) {
  BuildOptions options;
  options.dims = config.dims;
  options.ties = config.tie;
  options.unties = config.untie;
  return options;
}

/// Rows of the table that an input looks up directly; 0 where there is none.
std::int64_t vocabulary_of(const Graph& graph) {
  for (const Node& node : graph.nodes()) {
    if (node.op->name != "Gather" || graph.value(node.inputs[1]).role != Role::input) continue;
    return graph.shape(node.inputs[0])[static_cast<int>(node.attrs.integer("axis"))];
  }
  return 0;
}

}  // namespace

ModelSource::ModelSource(const ModelConfig& config, std::uint64_t seed)
    : config_(config),
      file_(is_builtin(config.source) ? load_builtin(config.source, seed) : OnnxModel::load(config.source)),
      options_(options_of(config)),
      notes_(file_->notes()) {}

ModelInputs ModelSource::data_inputs() const {
  const Graph graph = lowered(file_->written_batch() > 0 ? file_->written_batch() : 1);
  ModelInputs inputs;
  for (const ValueId id : graph.inputs) {
    const Value& value = graph.value(id);
    Shape shape = value.shape;
    if (shape.rank() > 0) shape[0] = -1;
    inputs.inputs.push_back({value.name, value.dtype, shape});
  }
  const Shape& output = graph.shape(graph.output);
  if (output.rank() > 1) inputs.num_classes = output.back();
  inputs.vocabulary = vocabulary_of(graph);
  return inputs;
}

void ModelSource::set_label(const BatchField& label) {
  label_ = label;
  std::ranges::move(forward(1).notes, std::back_inserter(notes_));
}

Partition ModelSource::partition(const Mesh& mesh, int rank, const PartitionOptions& options) const {
  return make_partition([this](std::int64_t samples) { return graph(samples, true); }, mesh, rank, options);
}

Graph ModelSource::lowered(std::int64_t samples) const {
  BuildOptions options = options_;
  options.batch = samples;
  return file_->build(options);
}

ModelSource::Forward ModelSource::forward(std::int64_t samples) const {
  const std::lock_guard lock(mutex_);
  if (latest_.samples != samples) {
    Forward pass{samples, lowered(samples), {}};
    pass.notes = choose_trainable(pass.graph, config_.train, config_.freeze);
    fuse(pass.graph);
    latest_ = std::move(pass);
  }
  return latest_;
}

Graph ModelSource::forward_graph(std::int64_t samples) const { return forward(samples).graph; }

Graph ModelSource::graph(std::int64_t samples, bool with_gradients) const {
  Graph graph = forward_graph(samples);
  Shape label{samples};
  for (const std::int64_t extent : label_.sample_shape) label.push_back(extent);
  append_loss(graph, config_.loss, label_.dtype, label);
  if (with_gradients) append_backward(graph);
  return graph;
}

}  // namespace dml
