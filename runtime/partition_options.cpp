#include "runtime/partition_options.h"

#include <algorithm>

#include "models/trainable.h"

namespace dml {
namespace {

int microbatches_of(const LayoutConfig& layout, std::int64_t batch) {
  if (layout.microbatches > 0) return layout.microbatches;
  if (layout.p == 1) return 1;
  return static_cast<int>(
      std::max<std::int64_t>(1, std::min<std::int64_t>(2 * layout.p, batch / std::max(layout.d, 1))));
}

}  // namespace

PartitionOptions partition_options(const Config& config, std::int64_t batch) {
  const LayoutConfig& layout = config.layout;
  PartitionOptions options;
  options.schedule = layout.schedule;
  options.batch = batch;
  options.microbatches = microbatches_of(layout, batch);
  options.tensor_auto = layout.tensor_mode == TensorMode::automatic;
  options.tensor_mode = layout.tensor_mode == TensorMode::gather ? SplitMode::gather : SplitMode::megatron;
  options.cut = layout.cut;
  options.bucket_bytes = layout.bucket_bytes;
  options.clips = config.optimizer.clip > 0;
  options.decays = [globs = config.optimizer.no_decay](const std::string& name) {
    return std::none_of(globs.begin(), globs.end(), [&](const std::string& glob) { return matches_glob(glob, name); });
  };
  return options;
}

}  // namespace dml
