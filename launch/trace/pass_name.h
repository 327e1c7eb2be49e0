// Which pass of a pipeline an event of a trace is, by its name: as PyTorch's schedules write it ("0F3", "PP:1I2"), as
// its profiler labels do ("Forward 3"), and as Megatron-LM's timers do ("forward-3", of chunk 1 "forward-1-3").
#pragma once

#include <optional>
#include <string_view>

#include "models/graph.h"

namespace dml {

struct PassName {
  Phase phase = Phase::forward;
  int microbatch = 0;
  std::optional<int> stage = std::nullopt;
  std::optional<int> chunk = std::nullopt;  ///< which of its rank's stages
  friend auto operator<=>(const PassName&, const PassName&) = default;
};

/// Empty where the name is of something else.
std::optional<PassName> parse_pass_name(std::string_view name);

/// The pass of a task's id in traces of dmltrain, "F.m2.s1.d0.t1.n37"; empty for updates and other texts.
std::optional<PassName> pass_of_task(std::string_view id);

}  // namespace dml
