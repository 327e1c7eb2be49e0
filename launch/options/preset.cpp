#include "launch/options/preset.h"

#include <fmt/format.h>

#include "launch/options/usage_error.h"

namespace dml {
namespace {

void check_sources(const Config& config) {
  if (!config.model.shards.empty() && !config.model.source.empty()) {
    throw UsageError(
        fmt::format("--model {} and --shards {} are both given: shards hold the whole model, leave out --model",
                    config.model.source, config.model.shards));
  }
  if (config.model.source.empty() && config.model.shards.empty()) {
    throw UsageError(fmt::format(
        "--data {} without a model: add --model FILE.onnx, or a built-in one such as --model gpt", config.data.source));
  }
  if (config.data.source.empty()) {
    throw UsageError(fmt::format("--model {} without data: add --data SOURCE, for example --data builtin:text",
                                 config.model.source + config.model.shards));
  }
}

void check_optimizer(const OptimizerConfig& optimizer) {
  if (optimizer.kind != OptimizerKind::sgd && (optimizer.momentum != 0 || optimizer.nesterov)) {
    throw UsageError("--momentum and --nesterov are of --optimizer sgd only: adam and adamw have --beta1");
  }
  const OptimizerConfig standard;
  if (optimizer.kind == OptimizerKind::sgd && (optimizer.beta1 != standard.beta1 || optimizer.beta2 != standard.beta2 ||
                                               optimizer.epsilon != standard.epsilon)) {
    throw UsageError("--beta1, --beta2 and --eps are of --optimizer adam and adamw only: sgd has --momentum");
  }
  if (optimizer.nesterov && optimizer.momentum == 0) {
    throw UsageError("--nesterov without momentum: add --momentum, for example 0.9");
  }
  if (optimizer.beta1 >= 1 || optimizer.beta2 >= 1) {
    throw UsageError(fmt::format("--beta1 {} --beta2 {}: both must be below 1", optimizer.beta1, optimizer.beta2));
  }
  if (optimizer.min_learning_rate > optimizer.learning_rate) {
    throw UsageError(fmt::format("--min-lr {} is above --lr {}", optimizer.min_learning_rate, optimizer.learning_rate));
  }
  if (optimizer.min_learning_rate > 0 && optimizer.schedule == RateSchedule::constant) {
    throw UsageError(fmt::format("--min-lr {}: a constant rate never reaches it: add --lr-schedule cosine or linear",
                                 optimizer.min_learning_rate));
  }
}

void check_validation(const Config& config) {
  if (config.data.validation.empty() || config.val_every > 0) return;
  throw UsageError(
      fmt::format("--val {}: nothing validates on it: say how often by --val-every N", config.data.validation));
}

void check_batch(const Config& config) {
  const std::int64_t parts = std::int64_t{config.layout.d} * config.layout.microbatches;
  if (config.data.batch == 0 || parts == 0 || config.data.batch >= parts) return;
  throw UsageError(
      fmt::format("--batch {} has fewer samples than the {} microbatches of a step (--d {} times --microbatches {})",
                  config.data.batch, parts, config.layout.d, config.layout.microbatches));
}

void check_cut(const LayoutConfig& layout) {
  if (layout.cut.empty() || static_cast<int>(layout.cut.size()) == layout.p - 1) return;
  throw UsageError(fmt::format("--cut names {} nodes, but --p {} stages end at {} places", layout.cut.size(), layout.p,
                               layout.p - 1));
}

}  // namespace

Config preset() {
  Config config;
  config.model.source = "gpt:layers=4,width=128,heads=4,seq=64,vocab=256";
  config.data.source = "builtin:text";
  config.data.batch = 16;
  config.layout.microbatches = 4;
  config.layout.schedule = "1f1b";
  config.optimizer.kind = OptimizerKind::adamw;
  config.optimizer.learning_rate = 3e-3;
  config.optimizer.warmup_steps = 10;
  config.optimizer.clip = 1;
  config.steps = 150;
  return config;
}

void unset_planned(LayoutConfig& layout) {
  layout.schedule.clear();
  layout.microbatches = 0;
}

void check_run_options(const Config& config) {
  check_sources(config);
  check_optimizer(config.optimizer);
  check_validation(config);
  check_batch(config);
  check_cut(config.layout);
}

}  // namespace dml
