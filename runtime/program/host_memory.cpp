#include "runtime/program/host_memory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <numeric>
#include <string_view>
#include <vector>

#include "kernels/error.h"

namespace dml {
namespace {

constexpr double kGiB = 1 << 30;

/// A file that holds one number, as those of control groups do ("max": none).
std::optional<std::int64_t> number_in(const char* path) {
  std::ifstream file(path);
  std::int64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

std::optional<std::int64_t> estimate_of_kernel() {
  constexpr std::int64_t kBytesPerUnit = 1024;
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  std::int64_t number = 0;
  while (file >> name >> number) {
    std::getline(file, unit);
    if (name == "MemAvailable:") return number * kBytesPerUnit;
  }
  return std::nullopt;
}

std::optional<std::int64_t> left_of_control_group() {
  const auto limit = number_in("/sys/fs/cgroup/memory.max");
  const auto used = number_in("/sys/fs/cgroup/memory.current");
  if (!limit || !used) return std::nullopt;
  return *limit - *used;
}

std::int64_t host_key() {
  constexpr std::size_t kLongestName = 256;
  std::array<char, kLongestName> name{};
  ::gethostname(name.data(), name.size() - 1);
  return static_cast<std::int64_t>(std::hash<std::string_view>{}(name.data()));
}

}  // namespace

std::optional<std::int64_t> available_memory() {
  const auto host = estimate_of_kernel();
  const auto group = left_of_control_group();
  if (host && group) return std::min(*host, *group);
  return host ? host : group;
}

std::string memory_shortage(std::span<const std::int64_t> wanted, std::int64_t available) {
  const std::int64_t sum = std::accumulate(wanted.begin(), wanted.end(), std::int64_t{0});
  if (sum <= available) return "";
  return fmt::format(
      "memory: {} rank{} of this host want{} {:.1f} GiB (the largest {:.1f}), {:.1f} are available: a smaller --batch "
      "or "
      "more --microbatches, more parts of the model (--p, --t), or more hosts",
      wanted.size(), wanted.size() == 1 ? "" : "s", wanted.size() == 1 ? "s" : "", static_cast<double>(sum) / kGiB,
      static_cast<double>(*std::max_element(wanted.begin(), wanted.end())) / kGiB,
      static_cast<double>(available) / kGiB);
}

void check_host_memory(Communicator& world, std::int64_t bytes) {
  const auto size = static_cast<std::size_t>(world.size());
  const std::array<std::int64_t, 2> own = {host_key(), bytes};
  std::vector<std::int64_t> all(2 * size);
  const std::vector<std::int64_t> counts(size, 2);
  world.wait(world.all_gather({all.data(), DataType::i64, Shape{2 * world.size()}},
                              {const_cast<std::int64_t*>(own.data()), DataType::i64, Shape{2}}, counts));
  std::vector<std::int64_t> wanted;
  for (std::size_t rank = 0; rank < size; ++rank) {
    if (all[2 * rank] == own[0]) wanted.push_back(all[2 * rank + 1]);
  }
  const auto available = available_memory();
  if (!available) return;
  if (const std::string shortage = memory_shortage(wanted, *available); !shortage.empty()) throw DeviceError(shortage);
}

}  // namespace dml
