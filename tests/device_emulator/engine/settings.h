// What the environment says about the emulated device. Read once, at the first call of the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace dml::emulator {

enum class Policy { eager, lazy, lifo, random, threads };
enum class Order { forward, reverse, random };

struct Settings {
  Policy policy = Policy::lazy;  ///< EMULATOR_POLICY: which operation that may run is run
  Order order =
      Order::forward;      ///< EMULATOR_ORDER: of a block's threads and a grid's blocks; follows the policy if unset
  std::uint64_t seed = 1;  ///< EMULATOR_SEED
  int devices = 1;         ///< EMULATOR_DEVICES
  std::size_t memory_bytes = 0;      ///< EMULATOR_MEMORY_MB of each device
  std::string model;                 ///< EMULATOR_MODEL: v100, a100 or h100
  std::string kernels;               ///< EMULATOR_KERNELS: libraries of emulated kernels, separated by ':'
  std::string fail;                  ///< EMULATOR_FAIL: api:n:code, separated by ','
  std::string leave_out;             ///< EMULATOR_LEAVE_OUT: a site, as EMULATOR_SITES names it
  std::string sites_file;            ///< EMULATOR_SITES: where the sites that were reached are named, at exit
  int driver_version = 0;            ///< EMULATOR_DRIVER, as 12040; 0: as the runtime's
  std::string delay;                 ///< EMULATOR_DELAY: api:n:milliseconds, separated by ','
  std::string count_file;            ///< EMULATOR_COUNT: where the calls of every entry point are counted, at exit
  bool protect = false;              ///< EMULATOR_PROTECT: device memory cannot be addressed by the host
  bool check_uninitialised = false;  ///< EMULATOR_UNINITIALISED: copies and libraries that read what nobody wrote
  bool does_nothing = false;         ///< EMULATOR_NOTHING: operations end without being run, to see what the host costs
  bool leaks = true;                 ///< EMULATOR_LEAKS: what is left at exit is reported
  bool verbose = false;              ///< EMULATOR_VERBOSE: every operation as it runs
  double hang_seconds = 120;         ///< EMULATOR_HANG_S: a wait without any progress for so long is a violation
  std::size_t stack_bytes = 0;       ///< EMULATOR_STACK_KB of a thread of a block
};

/// Throws nothing: a value that cannot be read is a violation.
const Settings& settings();

/// A number drawn from the seed and three others.
std::uint64_t draw(std::uint64_t a, std::uint64_t b, std::uint64_t c);

}  // namespace dml::emulator
