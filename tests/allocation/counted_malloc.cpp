// malloc and its kin of this program, in place of the C library's, which they call under its own names.
#include "tests/allocation/counted_malloc.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>

extern "C" {  // NOLINTBEGIN(bugprone-reserved-identifier): glibc's own names of what is interposed
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
}  // NOLINTEND(bugprone-reserved-identifier)

namespace dml::allocation {
namespace {

struct Tally {
  const char* library = nullptr;  ///< as the loader names it; the program's own name for its own code
  long count = 0;
  void* first_caller = nullptr;
};

std::atomic<bool> counting{false};
thread_local bool inside = false;  // backtrace and dladdr may allocate
std::mutex mutex;
std::array<Tally, 32> tallies;

const char* file_name(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

/// Allocations pass through these on behalf of their callers.
bool is_language_runtime(const char* library) {
  for (const char* name : {"libc.so", "libstdc++.so", "libgcc_s.so", "ld-linux", "libpthread.so"}) {
    if (std::strncmp(library, name, std::strlen(name)) == 0) return true;
  }
  return false;
}

/// The innermost frame above `hook` that is not of a language runtime, and its library.
Tally find_caller(void* hook) {
  std::array<void*, 24> frames;
  const int depth = backtrace(frames.data(), static_cast<int>(frames.size()));
  int at = 0;
  while (at < depth && frames[static_cast<std::size_t>(at)] != hook) ++at;
  Tally caller{"unknown", 1, hook};
  for (; at < depth; ++at) {
    Dl_info info;
    void* frame = frames[static_cast<std::size_t>(at)];
    if (dladdr(frame, &info) == 0 || info.dli_fname == nullptr) continue;
    caller = {info.dli_fname, 1, frame};
    if (!is_language_runtime(file_name(info.dli_fname))) break;
  }
  return caller;
}

void count_call(void* hook) {
  if (!counting.load(std::memory_order_relaxed) || inside) return;
  inside = true;
  const Tally caller = find_caller(hook);
  {
    const std::lock_guard lock(mutex);
    for (Tally& tally : tallies) {
      if (tally.library == nullptr) tally = {caller.library, 0, caller.first_caller};
      if (std::strcmp(tally.library, caller.library) != 0) continue;
      ++tally.count;
      break;
    }
  }
  inside = false;
}

std::string describe(void* frame) {
  Dl_info info;
  if (dladdr(frame, &info) == 0 || info.dli_sname == nullptr) return "?";
  int status = 0;
  char* name = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
  std::string text = name == nullptr ? info.dli_sname : name;
  std::free(name);
  return text + " + " + std::to_string(static_cast<char*>(frame) - static_cast<char*>(info.dli_saddr));
}

}  // namespace

void start_counting() {
  std::array<void*, 4> frames;
  backtrace(frames.data(), static_cast<int>(frames.size()));  // its first call loads a library
  const std::lock_guard lock(mutex);
  tallies = {};
  counting.store(true);
}

std::vector<Calls> stop_counting() {
  counting.store(false);
  Dl_info program;
  dladdr(reinterpret_cast<void*>(&start_counting), &program);
  std::vector<Calls> calls;
  const std::lock_guard lock(mutex);
  for (const Tally& tally : tallies) {
    if (tally.library == nullptr) break;
    const bool own = std::strcmp(tally.library, program.dli_fname) == 0;
    calls.push_back({own ? "" : file_name(tally.library), tally.count, describe(tally.first_caller)});
  }
  return calls;
}

}  // namespace dml::allocation

extern "C" {

void* malloc(std::size_t bytes) noexcept {
  dml::allocation::count_call(__builtin_return_address(0));
  return __libc_malloc(bytes);
}

void* calloc(std::size_t count, std::size_t bytes) noexcept {
  dml::allocation::count_call(__builtin_return_address(0));
  return __libc_calloc(count, bytes);
}

void* realloc(void* memory, std::size_t bytes) noexcept {
  dml::allocation::count_call(__builtin_return_address(0));
  return __libc_realloc(memory, bytes);
}

void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  dml::allocation::count_call(__builtin_return_address(0));
  return __libc_memalign(alignment, bytes);
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  dml::allocation::count_call(__builtin_return_address(0));
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) noexcept {
  dml::allocation::count_call(__builtin_return_address(0));
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}

}  // extern "C"
