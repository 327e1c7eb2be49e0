// What `dmltrain submit` is told - by its command line, over the site's file - as a job.
#pragma once

#include <string>
#include <vector>

#include "launch/cluster/job_script.h"
#include "launch/options/command_line.h"

namespace dml {

/// The options of the command.
std::vector<OwnOption> submit_option_table();

/// What decides between launchers, asked only where nobody chose one.
using HasPmix = bool (*)();

struct Submission {
  JobRequest job;
  LayoutConfig layout;   ///< complete
  std::string hardware;  ///< a preset or file, against which memory is checked; empty: not known
};

/// Checks the layout against the nodes, and completes it. Throws UsageError where d·p·t is not the number of tasks, the
/// site's file cannot be read, or an option makes no sense.
Submission read_submission(const Command& command, HasPmix has_pmix);

/// ~/.config/dmltrain/cluster.toml, below XDG_CONFIG_HOME where that is set.
std::string default_cluster_file();

}  // namespace dml
