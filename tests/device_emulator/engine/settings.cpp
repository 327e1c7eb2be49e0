#include "tests/device_emulator/engine/settings.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/device_emulator/emulator.h"

namespace dml::emulator {
namespace {

std::string text_of(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

std::uint64_t number_of(const char* name, std::uint64_t otherwise) {
  const std::string text = text_of(name, "");
  if (text.empty()) return otherwise;
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text.c_str(), &end, 10);
  if (*end != '\0') violation(std::string(name) + "=" + text + " is no number");
  return value;
}

Policy policy_of(const std::string& text) {
  if (text == "eager") return Policy::eager;
  if (text == "lazy") return Policy::lazy;
  if (text == "lifo") return Policy::lifo;
  if (text == "random") return Policy::random;
  if (text == "threads") return Policy::threads;
  violation("EMULATOR_POLICY=" + text + " is none of eager, lazy, lifo, random, threads");
}

Order order_of(const std::string& text, Policy policy) {
  if (text == "forward") return Order::forward;
  if (text == "reverse") return Order::reverse;
  if (text == "random") return Order::random;
  if (!text.empty()) violation("EMULATOR_ORDER=" + text + " is none of forward, reverse, random");
  if (policy == Policy::lifo) return Order::reverse;
  return policy == Policy::random ? Order::random : Order::forward;
}

Settings read() {
  Settings all;
  all.policy = policy_of(text_of("EMULATOR_POLICY", "lazy"));
  all.order = order_of(text_of("EMULATOR_ORDER", ""), all.policy);
  all.seed = number_of("EMULATOR_SEED", 1);
  all.devices = static_cast<int>(number_of("EMULATOR_DEVICES", 1));
  all.memory_bytes = number_of("EMULATOR_MEMORY_MB", 4096) << 20;
  all.model = text_of("EMULATOR_MODEL", "a100");
  if (all.model != "v100" && all.model != "a100" && all.model != "h100") {
    violation("EMULATOR_MODEL=" + all.model + " is none of v100, a100, h100");
  }
  all.driver_version = static_cast<int>(number_of("EMULATOR_DRIVER", 0));
  all.kernels = text_of("EMULATOR_KERNELS", "");
  all.fail = text_of("EMULATOR_FAIL", "");
  all.leave_out = text_of("EMULATOR_LEAVE_OUT", "");
  all.sites_file = text_of("EMULATOR_SITES", "");
  all.delay = text_of("EMULATOR_DELAY", "");
  all.count_file = text_of("EMULATOR_COUNT", "");
  all.protect = number_of("EMULATOR_PROTECT", 0) != 0;
  all.check_uninitialised = number_of("EMULATOR_UNINITIALISED", 0) != 0;
  all.does_nothing = number_of("EMULATOR_NOTHING", 0) != 0;
  all.leaks = number_of("EMULATOR_LEAKS", 1) != 0;
  all.verbose = number_of("EMULATOR_VERBOSE", 0) != 0;
  all.hang_seconds = static_cast<double>(number_of("EMULATOR_HANG_S", 120));
  all.stack_bytes = number_of("EMULATOR_STACK_KB", 128) << 10;
  return all;
}

// splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

const Settings& settings() {
  static const auto* all = new Settings(read());  // threads of the device may outlive the end of main
  return *all;
}

std::uint64_t draw(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  return mixed(mixed(mixed(mixed(settings().seed) ^ a) ^ b) ^ c);
}

std::uint64_t draw(std::string_view what) {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : what) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return draw(hash, 0, 0);
}

}  // namespace dml::emulator
