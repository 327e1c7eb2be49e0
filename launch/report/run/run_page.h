// report.html and compare.html of a run folder: each one file that needs no network. The scripts beside this file
// draw them.
#pragma once

#include <string>

#include "launch/report/compare/compare_report.h"
#include "launch/report/run/run_history.h"
#include "runtime/config.h"
#include "runtime/records.h"

namespace dml {

/// All of a run that ended. `step_chart` is step_chart_json() of its last step.
std::string run_page(const std::string& folder, const Config& config, const RunPlan& plan, const RunSummary& summary,
                     const RunHistory& history, const std::string& step_chart);

/// The generated and the measured step. `step_chart` is step_chart_json() of both, the generated side first.
std::string compared_page(const Comparison& comparison, const std::string& step_chart);

}  // namespace dml
