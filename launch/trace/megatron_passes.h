// The timers of Megatron-LM: a file for each rank, event_times_PP4_VPP1_..._rank_5_pp_rank_1_....json, of
// "forward-3-start", "forward-3-end", "backward-3-start" and so on in milliseconds; of several model chunks
// "forward-CHUNK-3-start".
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "launch/trace/rank_trace.h"

namespace dml {

bool is_megatron_file(const std::string& name);

/// A value is a number, or a list with one of each step. Keys of other timers are left out. Throws IoError for a timer
/// without its other end, and times that are none; nlohmann::json::exception for another kind of file.
RankTrace megatron_trace(const nlohmann::json& json, const std::string& name);

}  // namespace dml
