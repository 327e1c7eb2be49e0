#include "tests/device_emulator/engine/shared/shared_memory.h"

#include <link.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace dml::emulator {
namespace {

constexpr std::size_t kAlignment = 1024;
#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kGuardBytes = 0;  // AddressSanitizer knows the bounds of the allocation
#else
constexpr std::size_t kGuardBytes = 256;
#endif
constexpr unsigned char kGuard = 0xfd;
constexpr unsigned char kPoison = 0xff;  // NaN in every format

struct Search {
  std::uintptr_t address;
  void* memory;
};

int look(dl_phdr_info* library, std::size_t, void* user) {
  auto& search = *static_cast<Search*>(user);
  bool found = false;
  for (int i = 0; i < library->dlpi_phnum; ++i) {
    const auto& part = library->dlpi_phdr[i];
    const std::uintptr_t begin = library->dlpi_addr + part.p_vaddr;
    if (part.p_type == PT_LOAD && search.address >= begin && search.address < begin + part.p_memsz) found = true;
  }
  if (!found) return 0;
  search.memory = library->dlpi_tls_data;
  return 1;
}

}  // namespace

void SharedMemory::Free::operator()(void* memory) const { std::free(memory); }

void SharedMemory::prepare(const Kernel& kernel, std::size_t dynamic_bytes) {
  if (of_kernel_ != kernel.function) {
    if (kernel.touch_shared != nullptr) kernel.touch_shared();
    Search search{reinterpret_cast<std::uintptr_t>(kernel.function), nullptr};
    dl_iterate_phdr(look, &search);
    of_kernel_ = kernel.function;
    static_ = static_cast<char*>(search.memory);
    variables_ = static_ == nullptr ? std::vector<SharedVariable>() : shared_variables_of(kernel.function);
  }
  if (dynamic_bytes == dynamic_bytes_) return;
  dynamic_bytes_ = dynamic_bytes;
  void* memory = nullptr;
  if (dynamic_bytes != 0 && posix_memalign(&memory, kAlignment, dynamic_bytes + kGuardBytes) != 0) memory = nullptr;
  dynamic_.reset(memory);
}

void SharedMemory::poison() {
  for (const SharedVariable& variable : variables_) std::memset(static_ + variable.offset, kPoison, variable.bytes);
  if (dynamic_bytes_ == 0) return;
  std::memset(dynamic_.get(), kPoison, dynamic_bytes_);
  std::memset(static_cast<char*>(dynamic_.get()) + dynamic_bytes_, kGuard, kGuardBytes);
}

std::size_t SharedMemory::bytes() const {
  std::size_t bytes = dynamic_bytes_;
  for (const SharedVariable& variable : variables_) bytes += variable.bytes;
  return bytes;
}

std::optional<std::size_t> SharedMemory::offset_of(const void* address) const {
  const auto* place = static_cast<const char*>(address);
  const auto* dynamic = static_cast<const char*>(dynamic_.get());
  if (place >= dynamic && place < dynamic + dynamic_bytes_) return static_cast<std::size_t>(place - dynamic);
  std::size_t before = dynamic_bytes_;
  for (const SharedVariable& variable : variables_) {
    const char* const begin = static_ + variable.offset;
    if (place >= begin && place < begin + variable.bytes) return before + static_cast<std::size_t>(place - begin);
    before += variable.bytes;
  }
  return std::nullopt;
}

std::string SharedMemory::fault() const {
  if (dynamic_bytes_ == 0) return "";
  const auto* guard = static_cast<const unsigned char*>(dynamic_.get()) + dynamic_bytes_;
  for (std::size_t i = 0; i < kGuardBytes; ++i) {
    if (guard[i] == kGuard) continue;
    return "shared memory written out of bounds: " + std::to_string(i) + " bytes past the end of " +
           std::to_string(dynamic_bytes_) + " dynamic bytes";
  }
  return "";
}

}  // namespace dml::emulator
