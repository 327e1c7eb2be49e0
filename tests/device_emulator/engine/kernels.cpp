#include "tests/device_emulator/engine/kernels.h"

#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "tests/device_emulator/emulator.h"
#include "tests/device_emulator/engine/settings.h"

namespace dml::emulator {
namespace {

constexpr std::size_t kSharedWithoutAsking = 48u << 10;

struct Registry {
  std::recursive_mutex mutex;  // libraries add their kernels while they are opened
  std::unordered_map<const void*, Kernel> by_function;
  std::map<std::string, const Kernel*> by_name;
  std::unordered_map<const void*, std::string> host_names;
  std::unordered_map<const void*, FoundKernel> found;
  std::unordered_map<const void*, std::size_t> shared_limits;
  bool has_opened = false;
};

Registry& registry() {
  static auto* all = new Registry;  // libraries of kernels may be unloaded after it
  return *all;
}

std::string readable(const std::string& mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status),
                                                    std::free);
  if (text == nullptr) return mangled;
  std::string name = text.get();
  return name.substr(0, name.rfind('('));
}

void open_libraries(Registry& all) {
  if (all.has_opened) return;
  all.has_opened = true;
  const std::string& list = settings().kernels;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(':', begin), list.size());
    const std::string path = list.substr(begin, end - begin);
    // Lazily: host code beside the kernels is the program's own there, and never called.
    if (dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL) == nullptr)
      violation(std::string("EMULATOR_KERNELS: ") + dlerror());
    begin = end + 1;
  }
}

}  // namespace

void add_kernel(const Kernel& kernel) {
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  const Kernel& added = all.by_function[kernel.function] = kernel;
  Dl_info symbol{};
  if (dladdr(kernel.function, &symbol) != 0 && symbol.dli_sname != nullptr && symbol.dli_saddr == kernel.function) {
    all.by_name[symbol.dli_sname] = &added;
  }
}

void name_kernel(const void* host_function, const char* name) {
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  all.host_names[host_function] = name;
}

const FoundKernel& find_kernel(const void* host_function) {
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  if (const auto known = all.found.find(host_function); known != all.found.end()) return known->second;
  FoundKernel found;
  if (const auto direct = all.by_function.find(host_function); direct != all.by_function.end()) {
    Dl_info symbol{};
    dladdr(host_function, &symbol);
    found = {&direct->second, readable(symbol.dli_sname == nullptr ? "?" : symbol.dli_sname)};
  } else if (const auto name = all.host_names.find(host_function); name != all.host_names.end()) {
    open_libraries(all);
    const auto kernel = all.by_name.find(name->second);
    found = {kernel == all.by_name.end() ? nullptr : kernel->second, readable(name->second)};
  }
  return all.found[host_function] = found;
}

bool is_in_kernel(const std::string& name) {
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  // Of names in order, the last one that is not greater than `name` is its longest prefix, if there is one.
  auto next = all.by_name.upper_bound(name);
  return next != all.by_name.begin() && name.rfind((--next)->first + "E", 0) == 0;
}

std::size_t shared_limit(const void* host_function) {
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto limit = all.shared_limits.find(host_function);
  return limit == all.shared_limits.end() ? kSharedWithoutAsking : limit->second;
}

void set_shared_limit(const void* host_function, std::size_t bytes) {
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  all.shared_limits[host_function] = bytes;
}

}  // namespace dml::emulator
