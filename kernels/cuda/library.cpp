#include "kernels/cuda/library.h"

#include <dlfcn.h>

#include <fmt/format.h>

#include "kernels/error.h"

namespace dml::cuda {

Library::Library(const char* soname, const char* product)
    : soname_(soname), product_(product), handle_(dlopen(soname, RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ != nullptr) return;
  throw DeviceError(
      fmt::format("{} is needed and cannot be opened: {}; `launch/setup --cuda` installs it, or LD_LIBRARY_PATH names "
                  "the folder that holds it",
                  product, dlerror()));
}

void* Library::address_of(const char* symbol) const {
  void* const address = dlsym(handle_, symbol);
  if (address == nullptr) {
    throw DeviceError(
        fmt::format("{} has no {}: {} is needed; `launch/setup --cuda` installs it", soname_, symbol, product_));
  }
  return address;
}

void Library::require_major(std::size_t version, std::size_t per_major, std::size_t major) const {
  if (version / per_major == major) return;
  throw DeviceError(
      fmt::format("{} is of version {}: {} is needed; `launch/setup --cuda` installs it", soname_, version, product_));
}

}  // namespace dml::cuda
