// Learning rate schedules. The update itself is a kernel; what it reads of a step is StepState.
#pragma once

#include <cstdint>
#include <string_view>

namespace dml {

/// The learning rate of `step` (0 for the first) out of `total`: over the first `warmup` steps it rises linearly, to
/// `base` at their last; then it stays ("constant"), or falls to `least` by half a cosine ("cosine") or linearly
/// ("linear"), which step `total` would reach. Throws std::invalid_argument for another `kind`.
double learning_rate(std::string_view kind, double base, double least, std::int64_t warmup, std::int64_t total,
                     std::int64_t step);

}  // namespace dml
