#include "runtime/model/layout_plan.h"

#include <algorithm>
#include <filesystem>

#include "kernels/error.h"
#include "models/zoo/zoo.h"
#include "runtime/data/dataset.h"
#include "runtime/model/partition_options.h"

namespace dml {

BatchField likely_label(const ModelSource& model, const std::string& loss) {
  const Graph graph = model.forward_graph(1);
  const Value& output = graph.value(graph.output);
  const bool is_loss = loss == "auto" && output.shape.num_elements() == 1;
  if (is_loss || output.shape.rank() == 0) return {};
  const bool by_class = loss == "cross_entropy" || (loss == "auto" && output.shape.rank() > 1);
  BatchField label{"label", by_class ? DataType::i64 : DataType::f32, {}};
  const int rank = output.shape.rank() - (by_class ? 1 : 0);
  for (int dim = 1; dim < rank; ++dim) label.sample_shape.push_back(output.shape[dim]);
  return label;
}

LayoutPlan::LayoutPlan(const Config& config)
    : name_(config.model.source),
      mesh_(std::max(config.layout.d, 1), config.layout.p, config.layout.t, config.layout.order) {
  build_options_.dims = config.model.dims;
  open_model(config);
  options_ = partition_options(config, choose_batch(config), model_ ? &model_->file() : nullptr);
  options_.forward_only = options_.needs_output = opaque_ != nullptr;
}

void LayoutPlan::open_model(const Config& config) {
  try {
    model_.emplace(config.model, config.seed);
    if (config.data.source.empty()) model_->set_label(likely_label(*model_, config.model.loss));
    notes_ = model_->notes();
  } catch (const Error&) {
    if (is_builtin(name_) || !std::filesystem::is_regular_file(name_)) throw;
    opaque_ = OpaqueModel::load(name_);
    if (!opaque_->is_needed()) throw;
    model_.reset();
    notes_ = opaque_->notes();
  }
}

/// The batch size; a data set that decides it is opened.
std::int64_t LayoutPlan::choose_batch(const Config& config) {
  const std::int64_t written = model_ ? model_->file().written_batch() : 0;
  std::int64_t batch = config.data.batch > 0 ? config.data.batch : std::max<std::int64_t>(written, 16);
  if (model_ && !config.data.source.empty()) {
    const auto data = open_dataset(config.data, model_->data_inputs(), config.seed);
    model_->set_data(*data);
    if (data->is_given_batches()) batch = data->given_batch_size();
  } else if (config.data.batch == 0) {
    batch = std::max(batch, std::int64_t{mesh_.d()} * std::max(config.layout.microbatches, 1));
  }
  return batch;
}

std::int64_t LayoutPlan::num_parameters() {
  return opaque_ != nullptr ? opaque_->num_parameters() : layout().divided().summary.parameters;
}

Graph LayoutPlan::graph_of(std::int64_t samples) {
  build_options_.batch = samples;
  Graph graph = model_ ? model_->graph(samples, true) : opaque_->build(build_options_);
  return with_techniques(std::move(graph), options_.techniques);
}

ModelLayout& LayoutPlan::layout() {
  if (layout_ == nullptr) {
    layout_ =
        std::make_unique<ModelLayout>([this](std::int64_t samples) { return graph_of(samples); }, mesh_, options_);
  }
  return *layout_;
}

}  // namespace dml
