#include "launch/doctor/collective_probe.h"

#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace dml {
namespace {

using Floats = std::vector<float>;

constexpr std::int64_t kSmallElems = 1000;
constexpr std::int64_t kLargeElems = 1 << 18;
constexpr int kOnlyChannel = 0;

/// What `rank` has at this element: of few digits, so that floats add it exactly.
float element_of(int rank, std::int64_t element) { return static_cast<float>((rank + 1) * (1 + element % 5)); }

Floats elements_of(int rank, std::int64_t count) {
  Floats values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = element_of(rank, i);
  return values;
}

/// The sum of what all ranks have.
Floats sum_of_all(int ranks, std::int64_t count) {
  Floats sum = elements_of(0, count);
  const int of_ranks = ranks * (ranks + 1) / 2;
  for (float& value : sum) value *= static_cast<float>(of_ranks);
  return sum;
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
};

Floats nothing(std::int64_t count) { return Floats(static_cast<std::size_t>(count), -1.0F); }

std::int64_t wrong_all_reduce(const Between& on, std::int64_t count) {
  DeviceFloats data(on.device, elements_of(on.devices.rank(), count));
  on.devices.wait(on.devices.all_reduce(data.view()));
  return data.differs_from(sum_of_all(on.devices.size(), count));
}

std::int64_t wrong_all_gather(const Between& on, std::int64_t count) {
  const std::vector<std::int64_t> parts = uneven_parts(on.devices.size(), count);
  Floats expected;
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    const Floats part = elements_of(static_cast<int>(rank), parts[rank]);
    expected.insert(expected.end(), part.begin(), part.end());
  }
  const std::int64_t mine = parts[static_cast<std::size_t>(on.devices.rank())];
  DeviceFloats in(on.device, elements_of(on.devices.rank(), mine));
  DeviceFloats out(on.device, nothing(static_cast<std::int64_t>(expected.size())));
  on.devices.wait(on.devices.all_gather(out.view(), in.view(), parts));
  return out.differs_from(expected);
}

std::int64_t wrong_reduce_scatter(const Between& on, std::int64_t count) {
  const std::vector<std::int64_t> parts = uneven_parts(on.devices.size(), count);
  const auto rank = static_cast<std::size_t>(on.devices.rank());
  const std::int64_t all = std::accumulate(parts.begin(), parts.end(), std::int64_t{0});
  const std::int64_t begin = std::accumulate(parts.begin(), parts.begin() + on.devices.rank(), std::int64_t{0});
  const Floats sum = sum_of_all(on.devices.size(), all);
  DeviceFloats in(on.device, elements_of(on.devices.rank(), all));
  DeviceFloats out(on.device, nothing(parts[rank]));
  on.devices.wait(on.devices.reduce_scatter(out.view(), in.view(), parts));
  return out.differs_from(Floats(sum.begin() + begin, sum.begin() + begin + parts[rank]));
}

std::int64_t wrong_broadcast(const Between& on, std::int64_t count) {
  const int root = on.devices.size() - 1;
  DeviceFloats data(on.device, elements_of(on.devices.rank(), count));
  on.devices.wait(on.devices.broadcast(data.view(), root));
  return data.differs_from(elements_of(root, count));
}

/// Ranks 2i and 2i+1 send to each other, the even one first; an odd one out has nobody.
std::int64_t wrong_send(const Between& on, std::int64_t count) {
  const int rank = on.devices.rank();
  const int peer = rank ^ 1;
  if (peer >= on.devices.size()) return 0;
  DeviceFloats mine(on.device, elements_of(rank, count));
  DeviceFloats theirs(on.device, nothing(count));
  const auto send = [&] { on.devices.wait(on.devices.send(mine.view(), peer, kOnlyChannel)); };
  const auto receive = [&] { on.devices.wait(on.devices.receive(theirs.view(), peer, kOnlyChannel)); };
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

std::vector<TransferCheck> probe_transfers(Communicator& world, Device& device) {
  if (world.size() == 1) return {};
  const std::unique_ptr<Communicator> devices = device.make_world(world, CommOptions{});
  const Between between{*devices, device};
  const std::pair<CommKind, std::int64_t (*)(const Between&, std::int64_t)> kinds[] = {
      {CommKind::all_reduce, wrong_all_reduce},
      {CommKind::all_gather, wrong_all_gather},
      {CommKind::reduce_scatter, wrong_reduce_scatter},
      {CommKind::broadcast, wrong_broadcast},
      {CommKind::send, wrong_send}};
  std::vector<TransferCheck> checks;
  for (const auto& [kind, wrong_elements] : kinds) {
    for (const std::int64_t count : {kSmallElems, kLargeElems}) {
      checks.push_back({std::string(name_of(kind)), count, wrong_elements(between, count)});
      world.wait(world.barrier());
    }
  }
  return checks;
}

}  // namespace dml
