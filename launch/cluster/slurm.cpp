#include "launch/cluster/slurm.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "launch/cluster/process.h"
#include "launch/options/usage_error.h"

namespace dml {
namespace {

/// What a program complained of.
std::string complaint(const ProgramResult& result) {
  return result.errors.empty() ? fmt::format("exit code {}", result.exit_code) : result.errors;
}

/// Standard output of one of Slurm's commands.
std::string asked(const std::vector<std::string>& words, const std::string& input = "") {
  const ProgramResult result = run_program(words, input);
  if (!result.found) {
    throw UsageError(fmt::format(
        "submit: there is no {} on this machine: use a login node of the cluster, or --print to see the script",
        words.front()));
  }
  if (result.exit_code != 0) throw UsageError(fmt::format("submit: {}", complaint(result)));
  return result.output;
}

using Fields = std::map<std::string, std::string, std::less<>>;

/// "Key=value Key=value"; values may hold '=', but no spaces.
Fields fields_of(const std::string& line) {
  Fields fields;
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (equals != std::string::npos) fields.emplace(word.substr(0, equals), word.substr(equals + 1));
  }
  return fields;
}

std::string value_of(const Fields& fields, std::string_view key) {
  const auto field = fields.find(key);
  return field == fields.end() || field->second == "(null)" ? "" : field->second;
}

SlurmJob job_of(const Fields& fields) {
  SlurmJob job;
  const std::string array = value_of(fields, "ArrayJobId");
  job.id = array.empty() ? value_of(fields, "JobId") : fmt::format("{}_{}", array, value_of(fields, "ArrayTaskId"));
  job.state = value_of(fields, "JobState");
  job.reason = value_of(fields, "Reason");
  job.nodes = value_of(fields, "NodeList");
  job.run_time = value_of(fields, "RunTime");
  job.time_limit = value_of(fields, "TimeLimit");
  job.log = value_of(fields, "StdOut");
  std::istringstream(value_of(fields, "Restarts")) >> job.restarts;
  std::istringstream(value_of(fields, "ExitCode")) >> job.exit_code;  // "code:signal"
  return job;
}

}  // namespace

bool SlurmJob::is_over() const {
  constexpr std::string_view kEnds[] = {"COMPLETED", "FAILED",   "CANCELLED", "TIMEOUT",       "NODE_FAIL",
                                        "BOOT_FAIL", "DEADLINE", "PREEMPTED", "OUT_OF_MEMORY", "REVOKED"};
  return std::find(std::begin(kEnds), std::end(kEnds), state) != std::end(kEnds);
}

bool lists_pmix(const std::string& list) {
  std::istringstream words(list);
  for (std::string word; words >> word;) {
    if (word == "pmix") return true;
  }
  return false;
}

bool srun_has_pmix() {
  const ProgramResult result = run_program({"srun", "--mpi=list"});
  return lists_pmix(result.output) || lists_pmix(result.errors);  // which of them depends on the version
}

std::string submit_script(const std::string& script) {
  // "12", or "12;cluster" where there are several clusters.
  const std::string answer = asked({"sbatch", "--parsable"}, script);
  return answer.substr(0, answer.find_first_of(";\n"));
}

std::vector<SlurmJob> parse_jobs(const std::string& lines) {
  std::vector<SlurmJob> jobs;
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);) {
    const Fields fields = fields_of(line);
    if (fields.contains("JobId")) jobs.push_back(job_of(fields));
  }
  return jobs;
}

std::vector<SlurmJob> find_jobs(const std::string& id) {
  return parse_jobs(asked({"scontrol", "--oneliner", "show", "job", id}));
}

void cancel_job(const std::string& id, bool now) {
  if (now) {
    asked({"scancel", id});
    return;
  }
  asked({"scancel", "--state=PENDING", id});
  const std::vector<SlurmJob> jobs = find_jobs(id);
  const bool runs = std::any_of(jobs.begin(), jobs.end(), [](const SlurmJob& job) { return job.state == "RUNNING"; });
  // The script has the training save, and then cancels the job.
  if (runs) asked({"scancel", "--batch", "--signal=USR2", "--state=RUNNING", id});
}

}  // namespace dml
