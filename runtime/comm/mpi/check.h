// The one place where an MPI error code becomes a CommError.
#pragma once

#include <fmt/format.h>
#include <mpi.h>

#include <string>

#include "kernels/error.h"

namespace dml {

inline void check_mpi(int code, const char* call, const char* file, int line) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  int rank = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  throw CommError(fmt::format("rank {}: {} failed: {} ({}:{})", rank, call, text, file, line));
}

}  // namespace dml

#define DML_MPI_CHECK(call) ::dml::check_mpi((call), #call, __FILE_NAME__, __LINE__)
