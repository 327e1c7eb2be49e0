#include "runtime/device/choose_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "kernels/error.h"
#include "runtime/comm/hosts.h"

namespace dml {
namespace {

/// What a rank knows of its host's GPUs.
struct HostGpus {
  std::int64_t host = 0;  ///< a hash of its name
  std::int64_t gpus = 0;
};

std::vector<HostGpus> gather(Communicator& world, HostGpus own) {
  std::vector<HostGpus> all(static_cast<std::size_t>(world.size()));
  const std::vector<std::int64_t> counts(all.size(), 2);
  world.wait(
      world.all_gather({all.data(), DataType::i64, Shape{2 * world.size()}}, {&own, DataType::i64, Shape{2}}, counts));
  return all;
}

/// Ranks before `rank` on its host.
int local_rank(const std::vector<HostGpus>& all, int rank) {
  const auto end = all.begin() + rank;
  return static_cast<int>(
      std::count_if(all.begin(), end, [&](const HostGpus& other) { return other.host == end->host; }));
}

/// Why the ranks cannot have a GPU each, or nothing.
std::string shortage_of(const std::vector<HostGpus>& all, const GpuCount& own) {
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    const HostGpus& host = all[rank];
    if (host.gpus == 0) {
      return own.count == 0 ? own.why_none : fmt::format("the host of rank {} has no GPU that can be used", rank);
    }
    const auto ranks = std::count_if(all.begin(), all.end(), [&](const HostGpus& h) { return h.host == host.host; });
    if (ranks <= host.gpus) continue;
    return fmt::format("the host of rank {} has {} ranks and {} GPU{}, and a rank needs one of its own", rank, ranks,
                       host.gpus, host.gpus == 1 ? "" : "s");
  }
  return "";
}

/// The CPU, and why it is that.
ChosenDevice take_cpu(const std::string& why, const std::string& note, bool tf32) {
  if (tf32) {
    throw DeviceError(
        fmt::format("--tf32: products of f32 are rounded to TF32 by GPUs alone, and {}: leave it out", why));
  }
  return {make_cpu_device(), note};
}

}  // namespace

ChosenDevice choose_device(const std::string& wanted, Communicator& world, bool tf32) {
  if (wanted == "cpu") return take_cpu("the device is the CPU", "", tf32);
  const GpuCount own = count_gpus();
  const auto all = gather(world, {static_cast<std::int64_t>(std::hash<std::string>{}(host_name())), own.count});
  if (const std::string shortage = shortage_of(all, own); !shortage.empty()) {
    if (wanted == "auto")
      return take_cpu(shortage, own.is_built ? fmt::format("devices: CPUs, as {}", shortage) : "", tf32);
    throw DeviceError(fmt::format("--device cuda: {}", shortage));
  }
  const int ordinal = local_rank(all, world.rank());
  ChosenDevice chosen{make_cuda_device(ordinal, tf32), ""};
  chosen.note = fmt::format("devices: {} (GPU {} of rank {})", chosen.device->description(), ordinal, world.rank());
  return chosen;
}

}  // namespace dml
