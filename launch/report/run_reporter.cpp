#include "launch/report/run_reporter.h"

#include <fmt/format.h>

#include <algorithm>

#include "launch/atomic_file.h"
#include "launch/report/chrome_trace.h"
#include "launch/report/pages.h"
#include "launch/report/run/run_page.h"
#include "launch/report/run/step_chart.h"
#include "launch/version.h"

namespace dml {

bool line_stays(const StepRecord& record) {
  const std::int64_t done = record.step + 1;
  const std::int64_t tenth = std::max<std::int64_t>(record.num_steps / 10, 1);
  return done == 1 || done == record.num_steps || done % tenth == 0 || record.validation_loss.has_value();
}

void RunReporter::started(const RunPlan& plan) {
  folder_ = std::make_unique<RunFolder>(config_, plan.first_step);
  place_.threads_per_rank = cores_.threads;
  place_.usable_cores = cores_.usable_cores;
  place_.ranks_per_host =
      static_cast<int>(std::count_if(plan.ranks.begin(), plan.ranks.end(),
                                     [&](const RankPlan& rank) { return rank.host == plan.ranks.front().host; }));
  RunPlan shown = plan;
  shown.threads_per_rank = cores_.threads;
  shown.usable_cores = cores_.usable_cores;
  shown.notes.insert(shown.notes.end(), cores_.notes.begin(), cores_.notes.end());
  history_ = std::make_unique<RunHistory>(plan.ranks.size());
  terminal_.print(
      fmt::format("{}\n\n{}\n", terminal_.style().heading(version_text()), first_page(shown, terminal_.style())));
  folder_->log(fmt::format("{}\n\n{}", version_text(), first_page(shown, {}, static_cast<int>(plan.ranks.size()))));
  plan_ = std::move(shown);
}

void RunReporter::noted(const std::string& line) {
  terminal_.print(line + "\n");
  folder_->log(line);
}

void RunReporter::stepped(const StepRecord& record, const std::vector<RankStep>& ranks) {
  folder_->append(record, ranks);
  history_->add(record, ranks);
  const std::string line = step_line(record);
  folder_->log(line);
  if (terminal_.live() && !line_stays(record)) {
    terminal_.show_live(line);
  } else {
    terminal_.print(line + "\n");
  }
}

void RunReporter::traced(std::span<const RankTasks> ranks, const Timeline& timeline, const Mesh& mesh,
                         const std::function<std::string(const RankTasks&, const Task&)>& name_of_task) {
  write_chrome_trace(folder_->file("trace.json"), ranks, timeline, mesh, name_of_task);
  write_file(folder_->file("measured.json"), timeline_text(ranks, timeline, place_));
  const ChartSide measured{"measured", &timeline};
  step_chart_ = step_chart_json(ranks, std::span(&measured, 1), mesh, name_of_task);
}

void RunReporter::finished(const RunSummary& summary) {
  terminal_.print(last_page(summary, terminal_.style()) + fmt::format("run folder: {}\n", folder_->path()));
  folder_->log(last_page(summary, {}));
  write_file(folder_->file("report.html"),
             run_page(folder_->path(), config_, plan_, summary, *history_, chart_of_step()));
}

std::string RunReporter::chart_of_step() {
  try {
    const std::string predicted = predicted_chart_(folder_->path());
    return predicted.empty() ? step_chart_ : predicted;
  } catch (const std::exception& error) {  // of the calibration: the run itself has succeeded
    const std::string line = fmt::format("the step is not predicted: {}\n", error.what());
    terminal_.print(line);
    folder_->log(line);
    return step_chart_;
  }
}

}  // namespace dml
