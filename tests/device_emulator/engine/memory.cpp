#include "tests/device_emulator/engine/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "tests/device_emulator/emulator.h"
#include "tests/device_emulator/engine/block.h"
#include "tests/device_emulator/engine/settings.h"

namespace dml::emulator {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kAlignment = 256;  // what cudaMalloc promises
#if defined(__SANITIZE_THREAD__)
constexpr std::size_t kReserved = std::size_t{1} << 36;  // ThreadSanitizer leaves few addresses
#else
constexpr std::size_t kReserved = std::size_t{1} << 40;  // of addresses, for each device
#endif
constexpr std::size_t kMostFilled = std::size_t{256} << 20;
constexpr std::uint16_t kFresh = 0xfff5;  // a NaN as bf16, and twice as float; no result of arithmetic
constexpr unsigned char kGuard = 0xfd;

struct Block {
  std::size_t bytes;
  int device;
  unsigned long long number;
};

struct Device {
  char* begin = nullptr;
  std::size_t taken = 0;  // of its addresses
  std::size_t used = 0;   // of its memory
};

struct Memory {
  std::mutex mutex;
  std::vector<Device> devices;
  std::map<std::uintptr_t, Block> blocks;  // of devices
  std::map<std::uintptr_t, Block> freed;
  std::map<std::uintptr_t, std::size_t> pinned;
  std::map<std::uintptr_t, std::size_t> on_host;  // pinned and ours
  unsigned long long number = 0;
  int num_open = 0;
};

Memory& memory() {
  static auto* all = new Memory;  // lives until the process has ended: reports at exit read it
  return *all;
}

thread_local int in_operation = 0;

std::size_t whole_pages(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }
std::size_t slack(std::size_t bytes) { return (kAlignment - bytes % kAlignment) % kAlignment; }
char* first_page(std::uintptr_t address) { return reinterpret_cast<char*>(address / kPage * kPage); }
std::size_t page_bytes(std::uintptr_t address, const Block& block) {
  return whole_pages(address % kPage + block.bytes);
}

template <typename Value>
auto holding(std::map<std::uintptr_t, Value>& all, const void* address) {
  const auto next = all.upper_bound(reinterpret_cast<std::uintptr_t>(address));
  return next == all.begin() ? all.end() : std::prev(next);
}

void describe_block(char* text, std::size_t size, const void* address) {
  auto& all = memory();
  auto found = holding(all.blocks, address);
  const auto freed = holding(all.freed, address);
  const bool is_freed = freed != all.freed.end() && (found == all.blocks.end() || found->first < freed->first);
  if (is_freed) found = freed;
  if (!is_freed && found == all.blocks.end()) {
    std::snprintf(text, size, "never allocated");
    return;
  }
  const auto& [begin, block] = *found;
  const std::size_t offset = reinterpret_cast<std::uintptr_t>(address) - begin;
  const char* state = is_freed ? ", which was freed" : "";
  if (offset >= block.bytes) {
    std::snprintf(text, size, "%zu bytes behind the end of allocation #%llu of %zu bytes%s", offset - block.bytes,
                  block.number, block.bytes, state);
  } else {
    std::snprintf(text, size, "byte %zu of allocation #%llu of %zu bytes%s", offset, block.number, block.bytes, state);
  }
}

// No lock is taken: the thread that faults may hold it, and the process ends.
void on_fault(int signal, siginfo_t* info, void*) {
  if (device_of_address(info->si_addr) < 0) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
    return;
  }
  char where[200];
  describe_block(where, sizeof where, info->si_addr);
  char text[260];
  std::snprintf(text, sizeof text, "%s device memory at %p: %s",
                in_operation > 0 ? "an operation touched" : "host code touched", info->si_addr, where);
  violation(text);
}

void install_handler() {
  static char stack[64 << 10];  // for faults at the end of a fiber's stack
  const stack_t alternate{stack, 0, sizeof stack};
  stack_t present{};
  sigaltstack(nullptr, &present);
  // AddressSanitizer gives each thread one, and takes back what it finds there.
  if ((present.ss_flags & SS_DISABLE) != 0) sigaltstack(&alternate, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
}

void set_access(bool open) {
  for (const auto& [address, block] : memory().blocks) {
    mprotect(first_page(address), page_bytes(address, block), open ? PROT_READ | PROT_WRITE : PROT_NONE);
  }
}

void fill_fresh(char* begin, std::size_t bytes) {
  std::uint16_t pattern[8];
  std::fill(std::begin(pattern), std::end(pattern), kFresh);
  const std::size_t filled = std::min(bytes, kMostFilled);
  for (std::size_t i = 0; i < filled; i += sizeof pattern) {
    std::memcpy(begin + i, pattern, std::min(sizeof pattern, filled - i));
  }
}

void check_guard(std::uintptr_t address, const Block& block, const std::string& who) {
  const auto* end = reinterpret_cast<const unsigned char*>(address) + block.bytes;
  for (std::size_t i = 0; i < slack(block.bytes); ++i) {
    if (end[i] == kGuard) continue;
    violation(who + " wrote " + std::to_string(i) + " bytes behind the end of allocation #" +
              std::to_string(block.number) + " of " + std::to_string(block.bytes) + " bytes");
  }
}

}  // namespace

void reserve_memory() {
  static std::once_flag once;
  std::call_once(once, [] {
    auto& all = memory();
    all.devices.resize(static_cast<std::size_t>(settings().devices));
    for (Device& device : all.devices) {
      void* pages = mmap(nullptr, kReserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (pages == MAP_FAILED) violation("no addresses for the memory of the emulated devices");
      device.begin = static_cast<char*>(pages);
    }
    install_handler();
  });
}

void* allocate_on_device(int device_index, std::size_t bytes) {
  if (bytes == 0) return nullptr;
  const DeviceAccess access;
  auto& all = memory();
  const std::lock_guard lock(all.mutex);
  Device& device = all.devices[static_cast<std::size_t>(device_index)];
  if (bytes > settings().memory_bytes - device.used) return nullptr;
  const std::size_t span = bytes + slack(bytes);
  char* pages = device.begin + device.taken + kPage;  // behind the page that guards its begin
  device.taken += kPage + whole_pages(span);
  if (device.taken + kPage > kReserved) return nullptr;
  if (mprotect(pages, whole_pages(span), PROT_READ | PROT_WRITE) != 0) return nullptr;
  char* begin = pages + whole_pages(span) - span;
  fill_fresh(begin, bytes);
  std::memset(begin + bytes, kGuard, slack(bytes));
  all.blocks[reinterpret_cast<std::uintptr_t>(begin)] = {bytes, device_index, ++all.number};
  device.used += bytes;
  return begin;
}

bool free_on_device(void* address) {
  const DeviceAccess access;
  auto& all = memory();
  const std::lock_guard lock(all.mutex);
  const auto found = all.blocks.find(reinterpret_cast<std::uintptr_t>(address));
  if (found == all.blocks.end()) return false;
  check_guard(found->first, found->second, "something");
  all.devices[static_cast<std::size_t>(found->second.device)].used -= found->second.bytes;
  char* page = first_page(found->first);
  const std::size_t span = page_bytes(found->first, found->second);
  madvise(page, span, MADV_DONTNEED);
  mprotect(page, span, PROT_NONE);
  all.freed.insert(all.blocks.extract(found));
  return true;
}

void* allocate_on_host(std::size_t bytes) {
  const std::size_t span = whole_pages(std::max<std::size_t>(bytes, 1));
  void* address = std::aligned_alloc(kPage, span);
  if (address == nullptr) return nullptr;
  std::memset(address, 0xff, span);
  auto& all = memory();
  const std::lock_guard lock(all.mutex);
  all.pinned[reinterpret_cast<std::uintptr_t>(address)] = bytes;
  all.on_host[reinterpret_cast<std::uintptr_t>(address)] = bytes;
  return address;
}

bool free_on_host(void* address) {
  {
    auto& all = memory();
    const std::lock_guard lock(all.mutex);
    if (all.on_host.erase(reinterpret_cast<std::uintptr_t>(address)) == 0) return false;
    all.pinned.erase(reinterpret_cast<std::uintptr_t>(address));
  }
  std::free(address);
  return true;
}

void pin(void* address, std::size_t bytes) {
  auto& all = memory();
  const std::lock_guard lock(all.mutex);
  all.pinned[reinterpret_cast<std::uintptr_t>(address)] = bytes;
}

bool unpin(void* address) {
  auto& all = memory();
  const std::lock_guard lock(all.mutex);
  return all.on_host.count(reinterpret_cast<std::uintptr_t>(address)) == 0 &&
         all.pinned.erase(reinterpret_cast<std::uintptr_t>(address)) != 0;
}

Allocation allocation_of(const void* address) {
  auto& all = memory();
  const std::lock_guard lock(all.mutex);
  const auto place = reinterpret_cast<std::uintptr_t>(address);
  if (const auto block = holding(all.blocks, address);
      block != all.blocks.end() && place < block->first + block->second.bytes) {
    return {Allocation::device, reinterpret_cast<const char*>(block->first), block->second.bytes, block->second.device,
            block->second.number};
  }
  if (const auto host = holding(all.pinned, address); host != all.pinned.end() && place < host->first + host->second) {
    return {Allocation::pinned, reinterpret_cast<const char*>(host->first), host->second, -1, 0};
  }
  return {};
}

std::size_t bytes_used(int device) {
  auto& all = memory();
  const std::lock_guard lock(all.mutex);
  return all.devices[static_cast<std::size_t>(device)].used;
}

int device_of_address(const void* address) {
  const auto* place = static_cast<const char*>(address);
  const auto& devices = memory().devices;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (place >= devices[i].begin && place < devices[i].begin + kReserved) return static_cast<int>(i);
  }
  return -1;
}

bool is_device_memory(const void* address) { return device_of_address(address) >= 0; }

std::string range_fault(const void* address, std::size_t bytes) {
  if (bytes == 0) return "";
  const Allocation found = allocation_of(address);
  if (found.kind == Allocation::none) {
    if (!is_device_memory(address)) return "is pageable host memory";
    char text[200];
    describe_block(text, sizeof text, address);
    return std::string("is no device memory in use: ") + text;
  }
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(address) - found.begin);
  if (offset + bytes <= found.bytes) return "";
  return "ends " + std::to_string(offset + bytes - found.bytes) + " bytes behind the end of allocation #" +
         std::to_string(found.number) + " of " + std::to_string(found.bytes) + " bytes";
}

void check_guards(const std::string& who) {
  auto& all = memory();
  const std::lock_guard lock(all.mutex);
  for (const auto& [address, block] : all.blocks) check_guard(address, block, who);
}

std::size_t first_unwritten(const void* address, std::size_t bytes) {
  const auto* begin = static_cast<const char*>(address);
  // Two in a row, from an even address on: one alone can be data.
  const std::uint16_t pattern[2] = {kFresh, kFresh};
  for (std::size_t i = reinterpret_cast<std::uintptr_t>(address) % 2; i + sizeof pattern <= bytes; i += 2) {
    if (std::memcmp(begin + i, pattern, sizeof pattern) == 0) return i;
  }
  return bytes;
}

DeviceAccess::DeviceAccess() {
  ++in_operation;
  if (!settings().protect) return;
  auto& all = memory();
  const std::lock_guard lock(all.mutex);
  if (all.num_open++ == 0) set_access(true);
}

DeviceAccess::~DeviceAccess() {
  --in_operation;
  if (!settings().protect) return;
  auto& all = memory();
  const std::lock_guard lock(all.mutex);
  if (--all.num_open == 0) set_access(false);
}

std::string leaked_memory() {
  auto& all = memory();
  const std::lock_guard lock(all.mutex);
  std::size_t count = 0, bytes = 0;
  unsigned long long first = 0;
  for (const auto& [address, block] : all.blocks) {
    if (count++ == 0) first = block.number;
    bytes += block.bytes;
  }
  std::string text;
  if (count != 0) {
    text = std::to_string(count) + " device allocations (" + std::to_string(bytes) + " bytes), the first is #" +
           std::to_string(first);
  }
  if (!all.on_host.empty()) {
    text += (text.empty() ? "" : ", ") + std::to_string(all.on_host.size()) + " pinned host allocations";
  }
  return text;
}

}  // namespace dml::emulator
