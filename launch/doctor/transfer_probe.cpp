#include "launch/doctor/transfer_probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/error.h"
#include "runtime/comm/clock.h"

namespace dml {
namespace {

using Floats = std::vector<float>;

constexpr std::int64_t kSmallElems = 1000;
constexpr std::int64_t kLargeElems = 1 << 18;
constexpr int kOnlyChannel = 0;
constexpr std::chrono::microseconds kPause{50};

/// Addends repeat after so many ranks, and after so many elements.
constexpr int kRankFactors = 8;
constexpr std::int64_t kElementFactors = 5;

Floats elements_of(int rank, std::int64_t count) {
  Floats values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = transfer_addend(rank, i);
  return values;
}

/// The sum of what all ranks have.
Floats sum_of_all(int ranks, std::int64_t count) {
  Floats sums(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) sums[static_cast<std::size_t>(i)] = transfer_sum(ranks, i);
  return sums;
}

/// Floats in device memory.
class DeviceFloats {
 public:
  DeviceFloats(Device& device, Floats values)
      : device_(device), values_(std::move(values)), memory_(device.allocate(bytes())) {
    device_.upload(memory_, values_.data(), static_cast<std::size_t>(bytes()));
  }
  ~DeviceFloats() { device_.release(memory_); }
  DeviceFloats(const DeviceFloats&) = delete;
  DeviceFloats& operator=(const DeviceFloats&) = delete;

  TensorView view() const { return {memory_, DataType::f32, Shape{count()}}; }
  std::int64_t differs_from(const Floats& expected) {
    device_.download(values_.data(), memory_, static_cast<std::size_t>(bytes()));
    std::int64_t wrong = 0;
    for (std::size_t i = 0; i < values_.size(); ++i) wrong += values_[i] != expected[i] ? 1 : 0;
    return wrong;
  }

 private:
  std::int64_t count() const { return static_cast<std::int64_t>(values_.size()); }
  std::int64_t bytes() const { return count() * static_cast<std::int64_t>(sizeof(float)); }

  Device& device_;
  Floats values_;
  std::byte* memory_;
};

/// Elements of each rank, the last one's fewer: parts may be uneven.
std::vector<std::int64_t> uneven_parts(int ranks, std::int64_t count) {
  std::vector<std::int64_t> parts(static_cast<std::size_t>(ranks), count);
  parts.back() -= ranks > 1 ? 1 : 0;
  return parts;
}

struct Between {
  Communicator& devices;
  Device& device;
  std::chrono::milliseconds deadline;

  /// Communicator::wait would tell the whole world past its deadline that this rank cannot go on.
  void wait(Ticket ticket) const;
};

void Between::wait(Ticket ticket) const {
  const Clock::time_point begin = Clock::now();
  while (!devices.test(ticket)) {
    if (Clock::now() - begin > deadline) {
      devices.withdraw();  // before its memory is given back
      throw TimeoutError(fmt::format("waited {:g} s for the others", std::chrono::duration<double>(deadline).count()));
    }
    std::this_thread::sleep_for(kPause);
  }
}

/// Elements of a rank where all ranks' together are as many as other operations have.
std::int64_t share_of(int ranks, std::int64_t count) { return std::max(kSmallElems, count / ranks); }

Floats nothing(std::int64_t count) { return Floats(static_cast<std::size_t>(count), -1.0F); }

std::int64_t wrong_all_reduce(const Between& on, std::int64_t count) {
  DeviceFloats data(on.device, elements_of(on.devices.rank(), count));
  on.wait(on.devices.all_reduce(data.view()));
  return data.differs_from(sum_of_all(on.devices.size(), count));
}

std::int64_t wrong_all_gather(const Between& on, std::int64_t count) {
  const std::vector<std::int64_t> parts = uneven_parts(on.devices.size(), share_of(on.devices.size(), count));
  Floats expected;
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    const Floats part = elements_of(static_cast<int>(rank), parts[rank]);
    expected.insert(expected.end(), part.begin(), part.end());
  }
  const std::int64_t mine = parts[static_cast<std::size_t>(on.devices.rank())];
  DeviceFloats in(on.device, elements_of(on.devices.rank(), mine));
  DeviceFloats out(on.device, nothing(static_cast<std::int64_t>(expected.size())));
  on.wait(on.devices.all_gather(out.view(), in.view(), parts));
  return out.differs_from(expected);
}

std::int64_t wrong_reduce_scatter(const Between& on, std::int64_t count) {
  const std::vector<std::int64_t> parts = uneven_parts(on.devices.size(), share_of(on.devices.size(), count));
  const auto rank = static_cast<std::size_t>(on.devices.rank());
  const std::int64_t all = std::accumulate(parts.begin(), parts.end(), std::int64_t{0});
  const std::int64_t begin = std::accumulate(parts.begin(), parts.begin() + on.devices.rank(), std::int64_t{0});
  const Floats sum = sum_of_all(on.devices.size(), all);
  DeviceFloats in(on.device, elements_of(on.devices.rank(), all));
  DeviceFloats out(on.device, nothing(parts[rank]));
  on.wait(on.devices.reduce_scatter(out.view(), in.view(), parts));
  return out.differs_from(Floats(sum.begin() + begin, sum.begin() + begin + parts[rank]));
}

std::int64_t wrong_broadcast(const Between& on, std::int64_t count) {
  const int root = on.devices.size() - 1;
  DeviceFloats data(on.device, elements_of(on.devices.rank(), count));
  on.wait(on.devices.broadcast(data.view(), root));
  return data.differs_from(elements_of(root, count));
}

/// Ranks 2i and 2i+1 send to each other, the even one first; an odd one out has nobody.
std::int64_t wrong_send(const Between& on, std::int64_t count) {
  const int rank = on.devices.rank();
  const int peer = rank ^ 1;
  if (peer >= on.devices.size()) return 0;
  DeviceFloats mine(on.device, elements_of(rank, count));
  DeviceFloats theirs(on.device, nothing(count));
  const auto send = [&] { on.wait(on.devices.send(mine.view(), peer, kOnlyChannel)); };
  const auto receive = [&] { on.wait(on.devices.receive(theirs.view(), peer, kOnlyChannel)); };
  if (rank < peer) {
    send();
    receive();
  } else {
    receive();
    send();
  }
  return theirs.differs_from(elements_of(peer, count));
}

}  // namespace

float transfer_addend(int rank, std::int64_t element) {
  return static_cast<float>((rank % kRankFactors + 1) * (1 + element % kElementFactors));
}

float transfer_sum(int ranks, std::int64_t element) {
  const auto sum_to = [](std::int64_t n) { return n * (n + 1) / 2; };
  const std::int64_t of_ranks = ranks / kRankFactors * sum_to(kRankFactors) + sum_to(ranks % kRankFactors);
  return static_cast<float>(of_ranks * (1 + element % kElementFactors));
}

bool any_failed(Communicator& world, bool failed_here) {
  std::int64_t failed = failed_here ? 1 : 0;
  world.wait(world.all_reduce({&failed, DataType::i64, Shape{1}}));
  return failed > 0;
}

Transfers probe_transfers(Communicator& world, Device& device, std::chrono::milliseconds deadline) {
  Transfers found;
  if (world.size() == 1) return found;
  std::unique_ptr<Communicator> devices;
  const auto succeeds = [&](const std::string& what, const auto& work) {
    try {
      work();
    } catch (const Error& error) {
      found.failure = fmt::format("{}: {}", what, error.what());
    }
    const bool failed = any_failed(world, !found.failure.empty());
    if (failed && devices) devices->withdraw();
    return !failed;
  };
  const bool is_made =
      succeeds("the communicator", [&] { devices = device.make_world(world, {.deadline = deadline}); });
  if (!is_made) return found;
  const Between between{*devices, device, deadline};
  const std::pair<CommKind, std::int64_t (*)(const Between&, std::int64_t)> kinds[] = {
      {CommKind::all_reduce, wrong_all_reduce},
      {CommKind::all_gather, wrong_all_gather},
      {CommKind::reduce_scatter, wrong_reduce_scatter},
      {CommKind::broadcast, wrong_broadcast},
      {CommKind::send, wrong_send}};
  for (const auto& probe : kinds) {
    for (const std::int64_t count : {kSmallElems, kLargeElems}) {
      TransferCheck check{std::string(name_of(probe.first)), count};
      const bool is_done = succeeds(fmt::format("{} of {} elements", check.operation, count),
                                    [&] { check.wrong = probe.second(between, count); });
      if (!is_done) return found;
      found.checks.push_back(std::move(check));
    }
  }
  return found;
}

}  // namespace dml
