#include "tests/device_emulator/engine/left_out.h"

#include <dlfcn.h>
#include <execinfo.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <string_view>

#include "tests/device_emulator/emulator.h"
#include "tests/device_emulator/engine/settings.h"
#include "tests/device_emulator/engine/stream.h"
#include "tests/device_emulator/engine/thread.h"

namespace dml::emulator {
namespace {

constexpr std::string_view kPlace = "place:";

std::string_view folder_of(std::string_view path) { return path.substr(0, path.rfind('/') + 1); }
std::string_view file_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

/// All calls of the calling thread: they say success and do nothing, and how many there were.
struct AllCalls {
  bool are_left_out = false;
  bool are_counted_by_name = false;
  long count = 0;
  std::map<std::string, long> by_name;
};
thread_local AllCalls all_calls;

bool counted(const char* api) {
  ++all_calls.count;
  if (all_calls.are_counted_by_name) ++all_calls.by_name[api];
  return true;
}

struct Sites {
  std::mutex mutex;
  std::set<std::string> reached;
  std::map<int, CUstream_st*> unordered;  // for each device a stream that nothing waits for
  // Names of sites are made only where somebody asks for them.
  bool are_named = !settings().sites_file.empty() || (!settings().leave_out.empty() && place_left_out < 0);
};

Sites& sites() {
  static auto* all = new Sites;  // read at exit
  return *all;
}

/// "program+0x12ab" of the call of the emulated libraries that is under way: of the first frame outside of them.
std::string calling_place() {
  Dl_info own{};
  dladdr(reinterpret_cast<const void*>(&calling_place), &own);
  std::array<void*, 32> frames{};
  const int count = backtrace(frames.data(), static_cast<int>(frames.size()));
  for (int i = 1; i < count; ++i) {
    const char* const address = static_cast<char*>(frames[static_cast<std::size_t>(i)]) - 1;  // of the call
    Dl_info found{};
    if (dladdr(address, &found) == 0 || found.dli_fname == nullptr) continue;
    if (folder_of(found.dli_fname) == folder_of(own.dli_fname)) continue;
    char offset[32];
    std::snprintf(offset, sizeof offset, "+%#tx", address - static_cast<const char*>(found.dli_fbase));
    return std::string(file_of(found.dli_fname)) + offset;
  }
  return "?";
}

bool is_named_by_test(const std::string& site) {
  Sites& all = sites();
  const std::lock_guard lock(all.mutex);
  all.reached.insert(site);
  return site == settings().leave_out;
}

// When the library is loaded: settings() wait for the first call of the device.
int number_of_place() {
  const char* const named = std::getenv("EMULATOR_LEAVE_OUT");
  const bool is_place = named != nullptr && std::string_view(named).substr(0, kPlace.size()) == kPlace;
  return is_place ? std::atoi(named + kPlace.size()) : -1;
}

}  // namespace

const int place_left_out = number_of_place();
bool places_reached[kMostPlaces];

bool is_call_left_out(const char* api) {
  if (all_calls.are_left_out) return counted(api);
  return sites().are_named && is_named_by_test(std::string("call:") + api + "@" + calling_place());
}

cudaStream_t stream_of_call(const char* what, cudaStream_t given, bool is_kernel) {
  Sites& all = sites();
  if (!all.are_named) return given;
  std::string site = std::string("stream:") + what;
  site = is_kernel ? site.substr(0, site.find('<')) : site + "@" + calling_place();
  if (!is_named_by_test(site)) return given;
  const std::lock_guard lock(all.mutex);
  CUstream_st*& unordered = all.unordered[current_device()];
  if (unordered == nullptr) unordered = create_stream(current_device(), false);
  return unordered;
}

void write_sites() {
  std::FILE* file = std::fopen(settings().sites_file.c_str(), "a");
  if (file == nullptr) return;
  for (const std::string& site : sites().reached) std::fprintf(file, "%s\n", site.c_str());
  for (int place = 0; place < kMostPlaces; ++place) {
    if (places_reached[place]) std::fprintf(file, "%.*s%d\n", static_cast<int>(kPlace.size()), kPlace.data(), place);
  }
  std::fclose(file);
}

}  // namespace dml::emulator

// What benchmarks/host_cost calls, to see what a program costs without the calls of this library. From now on all calls
// of this thread are left out (mode 1, or 2, in which those of each entry point are counted), or none (0).
extern "C" void dml_emulator_leave_out(int mode);
extern "C" void dml_emulator_leave_out(int mode) {
  auto& all = dml::emulator::all_calls;
  all.are_left_out = mode != 0;
  all.are_counted_by_name = mode == 2;
  if (!all.are_left_out) return;
  all.count = 0;
  all.by_name.clear();
}
/// Calls of an entry point that have been left out (mode 2), or of all (null), since the mode was set.
extern "C" long dml_emulator_left_out(const char* api);
extern "C" long dml_emulator_left_out(const char* api) {
  const auto& all = dml::emulator::all_calls;
  if (api == nullptr) return all.count;
  const auto found = all.by_name.find(api);
  return found == all.by_name.end() ? 0 : found->second;
}
