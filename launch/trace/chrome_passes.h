// Chrome traces, as PyTorch's profiler (Kineto) and dmltrain write them, and others that name passes of a pipeline.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "launch/trace/rank_trace.h"

namespace dml {

/// A trace for each rank. Passes are, in this order of preference: the compute kernels launched within a label of the
/// host ("user_annotation"), so that a pass does not count its waiting for a receive; labels of the device; any events
/// named as passes; tasks of dmltrain. The rank is distributedInfo's, else the file name's, else the process's where
/// there are several. Throws IoError for times that are none; nlohmann::json::exception for another kind of file.
std::vector<RankTrace> chrome_traces(const nlohmann::json& json, const std::string& name);

}  // namespace dml
