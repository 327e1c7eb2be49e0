// The operations between devices, on threads: what they bring, and what is left when one of them fails.
#include "launch/doctor/transfer_probe.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/error.h"
#include "tests/runtime/device/host_device.h"

namespace dml::test {
namespace {

constexpr int kNever = -1;

/// A device whose world is given; its memory comes to an end.
class ThreadDevice final : public HostDevice {
 public:
  ThreadDevice(std::unique_ptr<Communicator> devices, int most_allocations)
      : devices_(std::move(devices)), most_allocations_(most_allocations) {}

  std::byte* allocate(std::int64_t bytes) override {
    if (num_allocations_++ == most_allocations_) throw DeviceError("out of memory");
    return HostDevice::allocate(bytes);
  }
  std::unique_ptr<Communicator> make_world(Communicator& /*host*/, const CommOptions& /*options*/) override {
    return std::move(devices_);
  }

 private:
  std::unique_ptr<Communicator> devices_;
  int most_allocations_;
  int num_allocations_ = 0;
};

struct Probed {
  Transfers transfers;
  bool any_failed = false;  ///< as the ranks agree on it afterwards, over the same world
};

/// By rank. The last rank's device gives that many pieces of memory; kNever: it has no end.
std::vector<Probed> probe(int ranks, int allocations_of_last, std::chrono::milliseconds deadline) {
  auto hosts = make_thread_world(ranks, CommOptions{});
  auto devices = make_thread_world(ranks, CommOptions{});
  std::vector<Probed> found(static_cast<std::size_t>(ranks));
  std::vector<std::jthread> threads;
  for (std::size_t rank = 0; rank < found.size(); ++rank) {
    threads.emplace_back([&, rank] {
      const bool is_last = rank + 1 == found.size();
      ThreadDevice device(std::move(devices[rank]), is_last ? allocations_of_last : kNever);
      found[rank].transfers = probe_transfers(*hosts[rank], device, deadline);
      found[rank].any_failed = any_failed(*hosts[rank], !found[rank].transfers.failure.empty());
    });
  }
  threads.clear();
  return found;
}

TEST(TransferProbe, BringsWhatItExpects) {
  for (const int ranks : {2, 3, 9}) {
    for (const Probed& of : probe(ranks, kNever, CommOptions{}.deadline)) {
      EXPECT_EQ(of.transfers.failure, "");
      EXPECT_FALSE(of.any_failed);
      ASSERT_EQ(of.transfers.checks.size(), 10U);
      for (const TransferCheck& check : of.transfers.checks)
        EXPECT_EQ(check.wrong, 0) << check.operation << " of " << check.elements << " on " << ranks;
    }
  }
}

TEST(TransferProbe, AnOperationThatHangsIsAFact) {
  const std::vector<Probed> found = probe(2, 0, std::chrono::milliseconds(50));
  EXPECT_EQ(found[0].transfers.failure, "all_reduce of 1000 elements: waited 0.05 s for the others");
  EXPECT_EQ(found[1].transfers.failure, "all_reduce of 1000 elements: out of memory");
  for (const Probed& of : found) {
    EXPECT_TRUE(of.any_failed);
    EXPECT_TRUE(of.transfers.checks.empty());
  }
}

TEST(TransferSum, IsExactOnManyRanks) {
  constexpr int kMostRanks = 700'000;
  constexpr double kExactInFloats = 1 << 24;
  for (std::int64_t element = 0; element < 5; ++element) {
    double sum = 0;
    for (int ranks = 1; ranks <= kMostRanks; ++ranks) {
      sum += transfer_addend(ranks - 1, element);
      if (ranks < 20 || ranks % 4097 == 0) {
        ASSERT_EQ(transfer_sum(ranks, element), sum) << ranks << " ranks";
      }
    }
    EXPECT_LE(sum, kExactInFloats);
  }
  EXPECT_EQ(transfer_sum(3, 7), transfer_sum(3, 2));
}

}  // namespace
}  // namespace dml::test
