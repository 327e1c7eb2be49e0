#include <fmt/format.h>
#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <numeric>

#include "runtime/comm/communicator.h"
#include "runtime/comm/mpi/check.h"
#include "runtime/comm/mpi/library_communicator.h"
#include "runtime/comm/mpi/mpi_transport.h"

namespace dml {

namespace {

bool mpi_runs() {
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  return initialized != 0 && finalized == 0;
}

void check_labels_fit() {
  int found = 0;
  int* largest = nullptr;
  DML_MPI_CHECK(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, static_cast<void*>(&largest), &found));
  constexpr int kLargestLabel = (1 << 21) - 1;
  if (found != 0 && *largest >= kLargestLabel) return;
  throw CommError(fmt::format("this MPI has tags up to {}, {} are needed", found != 0 ? *largest : 0, kLargestLabel));
}

}  // namespace

bool mpi_available() { return true; }

std::unique_ptr<Communicator> make_mpi_world(const CommOptions& options) {
  if (!mpi_runs()) {
    int provided = MPI_THREAD_SINGLE;
    DML_MPI_CHECK(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
  }
  DML_MPI_CHECK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  check_labels_fit();
  int size = 0;
  DML_MPI_CHECK(MPI_Comm_size(MPI_COMM_WORLD, &size));
  auto transport = std::make_unique<MpiTransport>();
  Group group;
  group.rank = transport->world_rank();
  group.members.resize(static_cast<std::size_t>(size));
  std::iota(group.members.begin(), group.members.end(), 0);
  auto engine = std::make_shared<Engine>(std::move(transport));
  if (options.library_collectives) {
    return std::make_unique<MpiLibraryCommunicator>(std::move(engine), std::move(group), options);
  }
  return std::make_unique<GroupCommunicator>(std::move(engine), std::move(group), options);
}

void exit_all(int code) {
  std::cout.flush();
  std::fflush(nullptr);
  if (mpi_runs()) MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

void finalize_mpi() {
  if (mpi_runs()) MPI_Finalize();
}

}  // namespace dml
