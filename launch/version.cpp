#include "launch/version.h"

#include <fmt/format.h>

#include "runtime/comm/communicator.h"

namespace dml {

std::string version_text() {
  return fmt::format("dmltrain {} (ranks: {})", DML_VERSION, mpi_available() ? "threads or MPI processes" : "threads");
}

}  // namespace dml
