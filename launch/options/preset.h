// What is decided between options: the preset of a bare `dmltrain`, and the combinations that mean nothing.
#pragma once

#include "runtime/config.h"

namespace dml {

/// The defaults of a run that is given neither model nor data: a small GPT on the built-in text.
Config preset();

/// What of a layout `--plan auto` finds, where nobody bounds it.
void unset_planned(LayoutConfig& layout);

/// Throws UsageError where options of a run contradict each other or something that it needs is missing.
void check_run_options(const Config& config);

}  // namespace dml
