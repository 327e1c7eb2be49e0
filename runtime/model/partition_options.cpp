#include "runtime/model/partition_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "kernels/error.h"
#include "models/trainable.h"
#include "runtime/model/carried_plan.h"

namespace dml {
namespace {

/// The schedule that stands in a file; null where it goes by name.
std::shared_ptr<const ParsedSchedule> schedule_of_file(const std::string& schedule) {
  if (!schedule.starts_with(kScheduleFile)) return nullptr;
  return std::make_shared<ParsedSchedule>(read_schedule(schedule.substr(kScheduleFile.size())));
}

int microbatches_of(const LayoutConfig& layout, const ParsedSchedule* given, std::int64_t batch) {
  if (layout.microbatches > 0) return layout.microbatches;
  if (given != nullptr) return given->microbatches;
  if (layout.p == 1) return 1;
  return static_cast<int>(
      std::max<std::int64_t>(1, std::min<std::int64_t>(2 * layout.p, batch / std::max(layout.d, 1))));
}

}  // namespace

ParsedSchedule read_schedule(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path))
    throw IoError(fmt::format("the schedule '{}' cannot be read", path));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  try {
    return parse_actions(text);
  } catch (const std::invalid_argument& error) {
    throw IoError(fmt::format("the schedule '{}': {}", path, error.what()));
  }
}

PartitionOptions partition_options(const Config& config, std::int64_t batch, const OnnxModel* file) {
  const LayoutConfig& layout = config.layout;
  PartitionOptions options;
  options.schedule = layout.schedule;
  options.chunks = layout.chunks;
  options.given = schedule_of_file(layout.schedule);
  options.batch = batch;
  options.microbatches = microbatches_of(layout, options.given.get(), batch);
  options.tensor_auto = layout.tensor_mode == TensorMode::automatic;
  options.tensor_mode = layout.tensor_mode == TensorMode::gather ? SplitMode::gather : SplitMode::megatron;
  options.cut = layout.cut;
  if (file != nullptr) {
    const int num_stages = placement_of(Mesh(1, layout.p, layout.t), options).num_stages();
    options.carried = find_carried_plan(*file, layout, num_stages);
  }
  options.techniques = layout.techniques;
  options.bucket_bytes = layout.bucket_bytes;
  options.clips = config.optimizer.clip > 0;
  options.decays = [globs = config.optimizer.no_decay](const std::string& name) {
    return std::none_of(globs.begin(), globs.end(), [&](const std::string& glob) { return matches_glob(glob, name); });
  };
  return options;
}

}  // namespace dml
