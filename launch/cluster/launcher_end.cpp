#include "launch/cluster/launcher_end.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <ctime>
#include <fstream>
#include <string>

#include <fmt/format.h>

namespace dml {
namespace {

using std::chrono::milliseconds;

/// Connections of the rank that is left behind must not look alive to other hosts.
void close_files() {
  constexpr rlim_t kMost = 65536;  // where the limit is "unlimited"
  rlimit limit{};
  const rlim_t count = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? std::min(limit.rlim_cur, kMost) : kMost;
  for (int file = 0; file < static_cast<int>(count); ++file) close(file);
}

/// Whether it ended. Looks so often that its number cannot have become another process's.
bool ends_within(pid_t process, milliseconds time) {
  constexpr milliseconds kInterval{50};
  constexpr timespec kPause{0, std::chrono::nanoseconds(kInterval).count()};
  for (milliseconds waited{0}; waited < time; waited += kInterval) {
    if (kill(process, 0) != 0) return true;
    nanosleep(&kPause, nullptr);
  }
  return kill(process, 0) != 0;
}

void end_process(pid_t process, const EndPatience& patience) {
  if (ends_within(process, patience.itself)) return;
  kill(process, SIGTERM);
  if (ends_within(process, patience.between)) return;
  kill(process, SIGTERM);
  if (ends_within(process, patience.last)) return;
  kill(process, SIGKILL);
}

}  // namespace

bool is_open_mpi_launcher(std::string_view name) {
  constexpr std::array<std::string_view, 6> kNames{"mpirun", "mpiexec", "orterun", "orted", "prterun", "prted"};
  return std::find(kNames.begin(), kNames.end(), name.substr(0, name.find('.'))) != kNames.end();  // mpirun.openmpi
}

void end_process_later(pid_t process, const EndPatience& patience) {
  // Twice forked, it is no child of this one, and in its own session before the launcher may end this one's.
  const pid_t between = fork();
  if (between < 0) return;
  if (between > 0) {
    waitpid(between, nullptr, 0);
    return;
  }
  setsid();
  if (fork() == 0) {
    prctl(PR_SET_NAME, "dmltrain-end");  // in lists of processes: this is no rank
    close_files();
    end_process(process, patience);
  }
  _exit(0);
}

void end_launcher_later() {
  const pid_t parent = getppid();
  std::string name;
  std::getline(std::ifstream(fmt::format("/proc/{}/comm", parent)), name);
  if (is_open_mpi_launcher(name)) end_process_later(parent, {});
}

}  // namespace dml
