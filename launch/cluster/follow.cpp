#include "launch/cluster/follow.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

#include "launch/cluster/slurm.h"
#include "launch/failure.h"
#include "launch/options/usage_error.h"
#include "launch/terminal/text_table.h"

namespace dml {
namespace {

constexpr std::chrono::seconds kBetweenLooks{2};  // Slurm's controller is shared by all users

/// A file that grows; whole lines of it.
class GrowingLog {
 public:
  /// What was added since the last call.
  std::string added(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(begin_));
    std::string text{std::istreambuf_iterator<char>(file), {}};
    text.resize(text.rfind('\n') + 1);  // npos + 1 is 0
    begin_ += text.size();
    return text;
  }

 private:
  std::size_t begin_ = 0;
};

/// The worst end among an array's jobs.
int outcome(const std::vector<SlurmJob>& jobs) {
  int code = exit_code::kDone;
  for (const SlurmJob& job : jobs) {
    if (job.state != "COMPLETED") code = std::max({code, job.exit_code, exit_code::kCheckFailed});
  }
  return code;
}

bool all_over(const std::vector<SlurmJob>& jobs) {
  return std::all_of(jobs.begin(), jobs.end(), [](const SlurmJob& job) { return job.is_over(); });
}

std::string live_line(const std::vector<SlurmJob>& jobs) {
  std::string text;
  for (const SlurmJob& job : jobs) {
    if (!job.is_over()) text += fmt::format("job {} {} ({}) {}  ", job.id, job.state, job.reason, job.run_time);
  }
  return text;
}

std::vector<SlurmJob> known_jobs(const std::string& id) {
  std::vector<SlurmJob> jobs = find_jobs(id);
  if (jobs.empty()) throw UsageError(fmt::format("submit: Slurm knows no job {}", id));
  return jobs;
}

}  // namespace

int follow_job(const std::string& id, Terminal& terminal) {
  GrowingLog log;
  while (true) {
    const std::vector<SlurmJob> jobs = known_jobs(id);
    const std::string text = log.added(jobs.front().log);
    if (!text.empty()) terminal.print(text);
    if (all_over(jobs)) return outcome(jobs);
    if (terminal.live()) terminal.show_live(live_line(jobs));
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

void print_log(const std::string& id, Terminal& terminal) {
  const std::string path = known_jobs(id).front().log;
  if (!std::ifstream(path)) throw UsageError(fmt::format("submit: job {} has no log yet; it will be {}", id, path));
  terminal.print(GrowingLog().added(path));
}

std::string job_status(const std::string& id, Style style) {
  const std::vector<SlurmJob> jobs = known_jobs(id);
  using Align = TextTable::Align;
  TextTable table({{"job", Align::left},
                   {"state", Align::left},
                   {"reason", Align::left},
                   {"nodes", Align::left},
                   {"time", Align::right},
                   {"limit", Align::right},
                   {"starts", Align::right},
                   {"exit code", Align::right}});
  for (const SlurmJob& job : jobs) {
    table.add_row({job.id, job.state, job.reason, job.nodes, job.run_time, job.time_limit,
                   std::to_string(job.restarts + 1), job.is_over() ? std::to_string(job.exit_code) : ""});
  }
  return table.to_string(style) + fmt::format("log: {}\n", jobs.front().log);
}

}  // namespace dml
