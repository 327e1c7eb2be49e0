// The end of Open MPI's launcher where a host is lost: mpirun waits for an answer of that host until the kernel gives
// up sending, which takes a quarter of an hour, and so does the daemon of a host that is cut off.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string_view>

namespace dml {

/// Whether a process of this name (/proc/PID/comm) is Open MPI's mpirun, or its daemon on a host.
bool is_open_mpi_launcher(std::string_view name);

struct EndPatience {
  std::chrono::milliseconds itself{5000};  ///< for the process to end by itself
  std::chrono::milliseconds between{500};  ///< the two SIGTERM: after a second one mpirun waits for nobody
  std::chrono::milliseconds last{2000};    ///< before SIGKILL
};

/// Leaves a process behind, in a session of its own and with no file open, that ends `process` unless it ends itself in
/// time. Where the system has no process for it, nothing happens.
void end_process_later(pid_t process, const EndPatience& patience);

/// The same of the launcher that started this process; nothing where another program started it. For a rank that is
/// about to end because others are lost.
void end_launcher_later();

}  // namespace dml
