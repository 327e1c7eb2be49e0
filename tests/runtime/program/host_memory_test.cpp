#include "runtime/program/host_memory.h"

#include <gtest/gtest.h>

#include <thread>

#include "kernels/error.h"
#include "runtime/comm/communicator.h"

namespace dml {
namespace {

constexpr std::int64_t kGiB = std::int64_t{1} << 30;

TEST(HostMemory, SumsTheRanksOfAHost) {
  const std::int64_t wanted[] = {2 * kGiB, 3 * kGiB};
  EXPECT_EQ(memory_shortage(wanted, 5 * kGiB), "");
  const std::string line = memory_shortage(wanted, 5 * kGiB - 1);
  EXPECT_NE(line.find("2 ranks of this host want 5.0 GiB (the largest 3.0), 5.0 are available"), std::string::npos);
}

TEST(HostMemory, IsKnownHere) {
  const auto available = available_memory();
  ASSERT_TRUE(available.has_value());
  EXPECT_GT(*available, std::int64_t{1} << 20);
}

TEST(HostMemory, RefusesOnAllRanksOfTheHost) {
  constexpr int kRanks = 3;
  auto world = make_thread_world(kRanks, CommOptions{});
  std::vector<std::thread> threads;
  std::vector<int> refused(kRanks, 0);
  for (int rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] {
      Communicator& comm = *world[static_cast<std::size_t>(rank)];
      check_host_memory(comm, 1);
      try {
        check_host_memory(comm, rank == 1 ? std::int64_t{1} << 60 : 1);  // one of them is too large for any host
      } catch (const DeviceError&) {
        refused[static_cast<std::size_t>(rank)] = 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused, std::vector<int>(kRanks, 1));
}

}  // namespace
}  // namespace dml
