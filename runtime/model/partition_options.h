// From the options of a run to those of its partition.
#pragma once

#include <string>
#include <string_view>

#include "parallel/partition.h"
#include "parallel/pipeline/actions.h"
#include "runtime/config.h"

namespace dml {

class OnnxModel;

/// `--schedule file:PATH`.
inline constexpr std::string_view kScheduleFile = "file:";

/// The schedule that an action file holds (see parallel/pipeline/actions.h). Throws IoError with the path.
ParsedSchedule read_schedule(const std::string& path);

/// `batch`: samples of the global batch. `file`: the model, where it may carry a plan. Throws ModelError where that
/// plan is damaged.
PartitionOptions partition_options(const Config& config, std::int64_t batch, const OnnxModel* file = nullptr);

}  // namespace dml
