// The folder of a run: config.toml, steps.jsonl, ranks.jsonl and the log. Lines are appended and flushed; every other
// file is there whole or not at all. Keys of the lines: `dmltrain help definitions`.
#pragma once

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config.h"
#include "runtime/records.h"

namespace dml {

/// Throws UsageError where `path` is a file, or a folder that holds a run (a steps.jsonl) which is not to be resumed.
/// An empty path is fine.
void check_run_folder(const std::string& path, bool resumes);

class RunFolder {
 public:
  /// Makes config.run, or runs/<time stamp> where that is empty, and writes config.toml. An existing folder is taken
  /// unless it holds a run; one that is resumed keeps its lines of the steps before `first_step`. Throws UsageError,
  /// IoError.
  explicit RunFolder(const Config& config, std::int64_t first_step = 0);

  const std::string& path() const { return path_; }
  /// The path of a file in the folder.
  std::string file(std::string_view name) const;
  void append(const StepRecord& record, const std::vector<RankStep>& ranks);
  void log(std::string_view text);

 private:
  std::string path_;
  std::ofstream steps_, ranks_, log_;
};

/// One line of steps.jsonl and of ranks.jsonl, without the newline. Steps count from 0; times are milliseconds.
std::string step_json(const StepRecord& record);
std::string rank_json(const RankStep& rank);

}  // namespace dml
