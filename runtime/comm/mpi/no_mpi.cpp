// Stands in for the MPI backend in builds without MPI.
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "kernels/error.h"
#include "runtime/comm/communicator.h"

namespace dml {

bool mpi_available() { return false; }

std::unique_ptr<Communicator> make_mpi_world(const CommOptions&) {
  throw CommError("this build has no MPI: install it (launch/setup) and build again, or run without a launcher");
}

void exit_all(int code) {
  std::cout.flush();
  std::fflush(nullptr);
  std::_Exit(code);
}

void finalize_mpi() {}

}  // namespace dml
