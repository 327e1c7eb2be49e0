// Files and words that the pages of a drawing share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "launch/report/graph/dot_text.h"
#include "launch/report/graph/drawing.h"

namespace dml {

inline constexpr const char* kTopPage = "interactive_high_level.svg";
inline constexpr const char* kGradientPage = "gradient_all_reduce_detail.svg";

std::string replica_file();
std::string stage_file(int stage);
std::string layer_file(int layer);
std::string transfer_file(int from_stage, int to_stage);

/// The way from the top to a replica's page.
std::vector<Crumb> replica_crumbs();

/// "f32 8x128x256", or by tensor index "f32 8x42x256 (t0), 8x43x256 (t1-2)".
std::string shapes_text(const DrawnOutput& output);
/// "t0" or "t0-2".
std::string tensor_text(const Drawing& drawing);
/// The ranks of a position in a replica: "rank 3", "ranks 3-5", "ranks 0, 15, 30".
std::string ranks_text(const std::vector<int>& ranks);

/// "1 task", "3 tasks"; "1 microbatch", "5 microbatches".
std::string counted(std::size_t number, std::string_view word);

/// The colour of a task by its kind: forward, gradients, communication, update.
std::string fill_of(const DrawnTask& task);

}  // namespace dml
