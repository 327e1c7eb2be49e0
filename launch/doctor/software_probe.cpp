#include "launch/doctor/software_probe.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string_view>

#include "kernels/isa.h"
#include "launch/version.h"

namespace dml {
namespace {

/// A function of a library that is loaded, by its name in C; null where there is none. So versions can be asked
/// without the headers of libraries that belong to other folders.
template <typename Function>
Function* loaded_function(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

/// The beginning of dnnl_version_t (oneDNN, Version Information).
struct DnnlVersion {
  int major, minor, patch;
};

std::string onednn_version() {
  auto* const version = loaded_function<const DnnlVersion*()>("dnnl_version");
  if (version == nullptr) return "";
  const DnnlVersion* const is = version();
  return fmt::format("{}.{}.{}", is->major, is->minor, is->patch);
}

/// "Open MPI v4.1.4, package: ..." in full; empty where there is no MPI. May be asked before MPI_Init (MPI 3.0, 8.1.1).
std::string mpi_library_text() {
  auto* const get = loaded_function<int(char*, int*)>("MPI_Get_library_version");
  if (get == nullptr) return "";
  constexpr std::size_t kLongest = 8192;  // MPICH's MPI_MAX_LIBRARY_VERSION_STRING, the longest
  std::array<char, kLongest> text{};
  int length = 0;
  get(text.data(), &length);
  return text.data();
}

/// Of "Open MPI v4.1.4, package": the name "Open MPI" and the version "4.1.4"; others as one name.
std::pair<std::string, std::string> mpi_version() {
  constexpr std::string_view kOpenMpi = "Open MPI v";
  const std::string text = mpi_library_text();
  const std::string first = text.substr(0, text.find_first_of(",\n"));
  if (first.starts_with(kOpenMpi)) return {"Open MPI", first.substr(kOpenMpi.size())};
  return {"MPI", first};
}

/// "btl tcp" of mca_btl_tcp.so; empty for files that are no plug-in of the layers pml, mtl and btl.
std::string transport_of(const std::filesystem::path& file) {
  for (const char* const layer : {"btl", "mtl", "pml"}) {
    const std::string prefix = fmt::format("mca_{}_", layer);
    const std::string name = file.stem().string();
    if (file.extension() == ".so" && name.starts_with(prefix))
      return fmt::format("{} {}", layer, name.substr(prefix.size()));
  }
  return "";
}

/// The plug-ins beside Open MPI's library: in openmpi, or as Debian has it in openmpi/lib/openmpi3. Open MPI 5 has them
/// inside the library.
std::vector<std::string> open_mpi_transports() {
  namespace fs = std::filesystem;
  constexpr int kDeepest = 2;
  Dl_info library{};
  void* const function = dlsym(RTLD_DEFAULT, "MPI_Get_library_version");
  if (function == nullptr || dladdr(function, &library) == 0) return {};
  std::error_code ignored;
  const fs::path folder = fs::canonical(library.dli_fname, ignored).parent_path() / "openmpi";
  std::vector<std::string> found;
  for (fs::recursive_directory_iterator entry(folder, ignored), end; entry != end; entry.increment(ignored)) {
    if (entry.depth() >= kDeepest) entry.disable_recursion_pending();
    if (std::string transport = transport_of(entry->path()); !transport.empty()) found.push_back(std::move(transport));
  }
  std::sort(found.begin(), found.end());
  return found;
}

bool cuda_driver_loads() {
  void* const driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (driver == nullptr) return false;
  dlclose(driver);
  return true;
}

std::string output_of(const char* command) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command, "r"), pclose);
  std::string output;
  std::array<char, 256> part{};
  while (pipe && std::fgets(part.data(), part.size(), pipe.get()) != nullptr) output += part.data();
  return output;
}

}  // namespace

std::vector<Gpu> parse_gpus(const std::string& csv) {
  std::vector<Gpu> gpus;
  std::istringstream lines(csv);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    Gpu gpu;
    std::string memory;
    if (!std::getline(fields, gpu.name, ',') || !std::getline(fields, memory, ',')) continue;
    fields >> gpu.driver;
    gpu.memory_mib = std::strtoll(memory.c_str(), nullptr, 10);
    gpus.push_back(std::move(gpu));
  }
  return gpus;
}

void probe_software(HostFacts& host) {
  host.instruction_set = name_of(active_isa());
  host.detected_instruction_set = name_of(detected_isa());
  host.versions["dmltrain"] = version_text();
  host.versions["protobuf"] = DML_PROTOBUF_VERSION;
  if (constexpr std::string_view cuda = DML_CUDA_VERSION; !cuda.empty()) host.versions["CUDA"] = cuda;
#if defined(__clang__)
  host.versions["clang"] = fmt::format("{}.{}", __clang_major__, __clang_minor__);
#else
  host.versions["g++"] = fmt::format("{}.{}", __GNUC__, __GNUC_MINOR__);
#endif
  if (std::string version = onednn_version(); !version.empty()) host.versions["oneDNN"] = std::move(version);
  if (auto [name, version] = mpi_version(); !version.empty()) host.versions[name] = std::move(version);
  host.transports = open_mpi_transports();
  host.has_cuda_driver = cuda_driver_loads();
  if (host.gpu_devices == 0 && !host.has_cuda_driver) return;
  // A driver that hangs would hang the doctor.
  host.gpus = parse_gpus(
      output_of("timeout 15 nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader,nounits "
                "2>/dev/null"));
}

std::map<std::string, std::string> probe_environment() {
  constexpr std::string_view kPrefixes[] = {"OMP_", "GOMP_", "OMPI_MCA_", "PRTE_MCA_",
                                            "UCX_", "NCCL_", "DML_",      "SLURM_JOB_"};
  std::map<std::string, std::string> found;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    for (const std::string_view prefix : kPrefixes)
      if (text.starts_with(prefix)) found.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return found;
}

}  // namespace dml
