// report.html of a run folder: one file that needs no network. The scripts beside this file draw it.
#pragma once

#include <string>

#include "launch/report/run/run_history.h"
#include "runtime/config.h"
#include "runtime/records.h"

namespace dml {

/// All of a run that ended. `step_chart` is step_chart_json() of its last step.
std::string run_page(const std::string& folder, const Config& config, const RunPlan& plan, const RunSummary& summary,
                     const RunHistory& history, const std::string& step_chart);

}  // namespace dml
