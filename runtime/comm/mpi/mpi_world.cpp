#include <fmt/format.h>
#include <mpi.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <stdexcept>

#include "runtime/comm/communicator.h"
#include "runtime/comm/mpi/check.h"
#include "runtime/comm/mpi/library_communicator.h"
#include "runtime/comm/mpi/mpi_transport.h"
#include "runtime/comm/shaped_transport.h"

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

HostTable gather_hosts(int size) {
  std::array<char, 64> mine{};
  std::vector<decltype(mine)> all(static_cast<std::size_t>(size));
  host_name().copy(mine.data(), mine.size() - 1);
  constexpr int kBytes = sizeof mine;
  DML_MPI_CHECK(MPI_Allgather(mine.data(), kBytes, MPI_BYTE, all.data(), kBytes, MPI_BYTE, MPI_COMM_WORLD));
  std::vector<std::string> names;
  for (const auto& text : all) names.emplace_back(text.data());
  return make_hosts(names);
}

/// Between several hosts, on the first rank of each; null elsewhere.
std::unique_ptr<HostWatch> watch_hosts(const HostTable& hosts, int rank, std::chrono::milliseconds deadline) {
  if (hosts.size() == 1) return nullptr;
  // A host that is lost is named before a wait for one of its ranks ends.
  const std::chrono::milliseconds silence = deadline * 9 / 10;
  const int host = hosts.of_rank[static_cast<std::size_t>(rank)];
  std::unique_ptr<HostWatch> watch;
  if (hosts.first_rank(host) == rank) watch = std::make_unique<HostWatch>(hosts, host, silence);
  WatchAddress address = watch ? watch->address() : WatchAddress{};
  DML_MPI_CHECK(MPI_Bcast(&address, sizeof address, MPI_BYTE, 0, MPI_COMM_WORLD));
  if (watch) watch->start(address);
  return watch;
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
  Group group;
  DML_MPI_CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &group.rank));
  group.members.resize(static_cast<std::size_t>(size));
  std::iota(group.members.begin(), group.members.end(), 0);
  const HostTable hosts = gather_hosts(size);
  auto transport = std::make_unique<MpiTransport>(watch_hosts(hosts, group.rank, options.deadline));
  auto engine = std::make_shared<Engine>(shape_links(std::move(transport), options, hosts.of_rank));
  if (options.library_collectives) {
    if (options.shape) {
      throw std::invalid_argument(
          "--shape-link shapes the messages of our own collectives: leave out --collectives library");
    }
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
