#include "tests/device_emulator/engine/faults.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/device_emulator/emulator.h"
#include "tests/device_emulator/engine/block.h"
#include "tests/device_emulator/engine/left_out.h"
#include "tests/device_emulator/engine/memory.h"
#include "tests/device_emulator/engine/settings.h"
#include "tests/device_emulator/engine/stream.h"

namespace dml::emulator {
namespace {

constexpr int kViolation = 86;  // exit code

/// "api:n:value", one of a list.
struct Rule {
  std::string api;
  long call = 0;
  std::string value;
};

std::vector<Rule> rules_of(const std::string& list) {
  std::vector<Rule> rules;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const std::string one = list.substr(begin, end - begin);
    const std::size_t first = one.find(':'), second = one.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) {
      violation("\"" + one + "\" in EMULATOR_FAIL or EMULATOR_DELAY is not api:n:value");
    }
    rules.push_back({one.substr(0, first), std::strtol(one.c_str() + first + 1, nullptr, 10), one.substr(second + 1)});
    begin = end + 1;
  }
  return rules;
}

struct Injection {
  std::mutex mutex;
  std::vector<Rule> failures = rules_of(settings().fail);
  std::vector<Rule> delays = rules_of(settings().delay);
  std::map<std::string, long> calls;
  std::map<std::string, long> async_calls;
  bool active = !settings().fail.empty() || !settings().delay.empty() || !settings().count_file.empty();
};

Injection& injection() {
  static auto* all = new Injection;  // read at exit
  return *all;
}

const Rule* matching(const std::vector<Rule>& rules, const std::string& api, long call) {
  for (const Rule& rule : rules) {
    if (rule.api == api && rule.call == call) return &rule;
  }
  return nullptr;
}

void write_counts() {
  std::FILE* file = std::fopen(settings().count_file.c_str(), "a");
  if (file == nullptr) return;
  for (const auto& [api, count] : injection().calls) std::fprintf(file, "%s %ld\n", api.c_str(), count);
  std::fclose(file);
}

void report() {
  if (!settings().count_file.empty()) write_counts();
  if (!settings().sites_file.empty()) write_sites();
  if (!settings().leaks) return;
  const std::string memory = leaked_memory();
  const std::string handles = leaked_handles();
  if (memory.empty() && handles.empty()) return;
  std::fprintf(stderr, "emulator: leak: %s%s%s\n", memory.c_str(), memory.empty() || handles.empty() ? "" : ", ",
               handles.c_str());
}

}  // namespace

int injected(const char* api) {
  if (is_call_left_out(api)) return kLeftOut;
  auto& all = injection();
  if (!all.active) return 0;
  std::unique_lock lock(all.mutex);
  const long call = ++all.calls[api];
  const Rule* delay = matching(all.delays, api, call);
  const Rule* failure = matching(all.failures, api, call);
  lock.unlock();
  if (delay != nullptr) std::this_thread::sleep_for(std::chrono::milliseconds(std::atol(delay->value.c_str())));
  if (failure == nullptr || failure->value == "async") return 0;
  return failure->value == "skip" ? kLeftOut : std::atoi(failure->value.c_str());
}

void count(const char* what) {
  auto& all = injection();
  if (!all.active) return;
  const std::lock_guard lock(all.mutex);
  ++all.calls[what];
}

bool injected_async(const char* api) {
  auto& all = injection();
  if (!all.active) return false;
  const std::lock_guard lock(all.mutex);
  const Rule* failure = matching(all.failures, api, ++all.async_calls[api]);
  return failure != nullptr && failure->value == "async";
}

int injected_fault() { return injection().active ? injected("operation") : 0; }

void violation(const std::string& what) {
  char place[400];
  running_place(place, sizeof place);
  std::fflush(stdout);
  std::fprintf(stderr, "emulator: %s%s%s%s\n", what.c_str(), place[0] == '\0' ? "" : " [", place,
               place[0] == '\0' ? "" : "]");
  std::fflush(stderr);
  _exit(kViolation);
}

void missing(const char* library, const char* name) {
  violation(std::string(name) + " of " + library + " is not emulated");
}

void report_at_exit() {
  static const bool once = std::atexit(report) == 0;
  (void)once;
}

}  // namespace dml::emulator

// What at_exit/report.cpp calls.
extern "C" void dml_emulator_report();
extern "C" void dml_emulator_report() { dml::emulator::report(); }

// What the generated entry points call.
extern "C" [[noreturn]] void dml_emulator_missing(const char* library, const char* name);
extern "C" void dml_emulator_missing(const char* library, const char* name) { dml::emulator::missing(library, name); }
