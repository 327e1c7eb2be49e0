#include "launch/doctor/host_probe.h"

#include <sys/resource.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

namespace dml {
namespace {

namespace fs = std::filesystem;

/// The first line of a file; empty where it cannot be read.
std::string line_in(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<std::int64_t> int_in(const fs::path& path) {
  std::ifstream file(path);
  std::int64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

/// The value of "name : value" in files such as cpuinfo and meminfo; empty where there is none.
std::string entry_in(const fs::path& path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with(name) || colon == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

std::int64_t meminfo_bytes(const fs::path& root, std::string_view name) {
  constexpr std::int64_t kBytesPerUnit = 1024;
  return kBytesPerUnit * std::strtoll(entry_in(root / "proc/meminfo", name).c_str(), nullptr, 10);
}

/// The folders of this process's control group, innermost first, for one controller: of version 2, or of version 1.
/// In a container the path may be that of the host: then only the mount's own folder is there.
std::vector<fs::path> group_folders(const fs::path& root, const std::string& controller) {
  const fs::path mount = root / "sys/fs/cgroup";
  std::vector<fs::path> folders;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool is_unified = controllers == ",,";
    if (!is_unified && controllers.find("," + controller + ",") == std::string::npos) continue;
    const fs::path base = is_unified ? mount : mount / controller;
    for (fs::path part = fs::path(line.substr(second + 1)).relative_path(); !part.empty(); part = part.parent_path())
      folders.push_back(base / part);
    folders.push_back(base);
  }
  return folders;
}

/// The number in the first of two files that is there: version 2 and version 1 name them differently.
std::optional<std::int64_t> either(const fs::path& folder, const char* unified, const char* legacy) {
  const auto number = int_in(folder / unified);
  return number ? number : int_in(folder / legacy);
}

void probe_memory(const fs::path& root, HostFacts& host) {
  host.memory_bytes = meminfo_bytes(root, "MemTotal");
  host.available_bytes = meminfo_bytes(root, "MemAvailable");
  for (const fs::path& group : group_folders(root, "memory")) {
    const auto limit = either(group, "memory.max", "memory.limit_in_bytes");
    if (!limit || *limit >= host.memory_bytes) continue;
    host.group_bytes = host.group_bytes == 0 ? *limit : std::min(host.group_bytes, *limit);
    const std::int64_t used = either(group, "memory.current", "memory.usage_in_bytes").value_or(0);
    host.available_bytes = std::min(host.available_bytes, *limit - used);
  }
  struct statvfs shared {};
  if (statvfs((root / "dev/shm").c_str(), &shared) == 0)
    host.shared_bytes = static_cast<std::int64_t>(shared.f_blocks * shared.f_frsize);
}

/// Cores' worth of processor time that one group may have; 0: no quota.
double quota_of(const fs::path& group) {
  std::istringstream unified(line_in(group / "cpu.max"));
  double quota = 0, period = 0;
  if (unified >> quota >> period && period > 0) return quota / period;
  const double legacy = static_cast<double>(int_in(group / "cpu.cfs_quota_us").value_or(0));
  period = static_cast<double>(int_in(group / "cpu.cfs_period_us").value_or(0));
  return legacy > 0 && period > 0 ? legacy / period : 0;
}

void probe_cores(const fs::path& root, HostFacts& host) {
  const fs::path system = root / "sys/devices/system";
  host.processor = entry_in(root / "proc/cpuinfo", "model name");
  host.online_cores = count_of_list(line_in(system / "cpu/online"));
  host.numa_nodes = std::max(1, count_of_list(line_in(system / "node/online")));
  host.governor = line_in(system / "cpu/cpu0/cpufreq/scaling_governor");
  for (const fs::path& group : group_folders(root, "cpuset")) {
    for (const char* const name : {"cpuset.cpus.effective", "cpuset.effective_cpus"}) {
      if (host.granted_cores == 0) host.granted_cores = count_of_list(line_in(group / name));
    }
  }
  if (host.granted_cores == 0) host.granted_cores = host.online_cores;
  for (const fs::path& group : group_folders(root, "cpu")) {
    const double quota = quota_of(group);
    if (quota > 0) host.quota_cores = host.quota_cores == 0 ? quota : std::min(host.quota_cores, quota);
  }
}

/// The names in a folder, in order; none where it is not there.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

void probe_networks(const fs::path& root, HostFacts& host) {
  const fs::path folder = root / "sys/class/net";
  for (const std::string& name : names_in(folder)) {
    const std::string state = line_in(folder / name / "operstate");
    if (name == "lo" || state != "up") continue;
    host.networks.push_back({name, std::max<std::int64_t>(0, int_in(folder / name / "speed").value_or(0))});
  }
  host.fabrics = names_in(root / "sys/class/infiniband");
}

/// "/dev/nvidia0" is a device, "/dev/nvidiactl" is not.
int num_gpu_devices(const fs::path& root) {
  constexpr std::string_view kPrefix = "nvidia";
  const std::vector<std::string> names = names_in(root / "dev");
  return static_cast<int>(std::count_if(names.begin(), names.end(), [&](const std::string& name) {
    return name.starts_with(kPrefix) && name.size() > kPrefix.size() &&
           name.find_first_not_of("0123456789", kPrefix.size()) == std::string::npos;
  }));
}

std::string container_of(const fs::path& root) {
  for (const char* const variable : {"APPTAINER_NAME", "SINGULARITY_NAME"})
    if (const char* const name = std::getenv(variable); name != nullptr) return std::string("Apptainer ") + name;
  if (fs::exists(root / ".dockerenv")) return "Docker";
  if (fs::exists(root / "run/.containerenv")) return "Podman";
  return "";
}

std::optional<std::int64_t> soft_limit(decltype(RLIMIT_NOFILE) resource) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return static_cast<std::int64_t>(std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<std::int64_t>::max()));
}

}  // namespace

int count_of_list(const std::string& list) {
  int count = 0;
  std::istringstream parts(list);
  for (std::string part; std::getline(parts, part, ',');) {
    int first = 0, last = 0;
    char dash = 0;
    std::istringstream range(part);
    if (!(range >> first)) continue;
    count += range >> dash >> last ? last - first + 1 : 1;
  }
  return count;
}

HostFacts probe_host(const std::string& root) {
  const fs::path top = root.empty() ? fs::path("/") : fs::path(root);
  HostFacts host;
  host.name = line_in(top / "proc/sys/kernel/hostname");
  host.kernel = line_in(top / "proc/sys/kernel/osrelease");
  host.container = container_of(top);
  host.gpu_devices = num_gpu_devices(top);
  probe_cores(top, host);
  probe_memory(top, host);
  probe_networks(top, host);
  return host;
}

ProcessLimits probe_limits() {
  return {soft_limit(RLIMIT_NOFILE), soft_limit(RLIMIT_MEMLOCK), soft_limit(RLIMIT_STACK), soft_limit(RLIMIT_NPROC)};
}

}  // namespace dml
