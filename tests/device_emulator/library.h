// What the emulated vendor libraries share.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/device_emulator/emulator.h"

// Begins an entry point, named as the function: ends it with the code that was injected into this call.
#define EMULATOR_ENTRY(Status)                                       \
  if (const int injected_code = ::dml::emulator::injected(__func__)) \
  return ::dml::emulator::status_of<Status>(injected_code)

namespace dml::emulator {

/// Whether a variable of the environment is 1.
inline bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && std::strcmp(value, "1") == 0;
}

/// Says on stderr why a call is refused, with EMULATOR_EXPLAIN=1, and hands the status through.
template <typename Status>
Status refuse(const char* library, Status status, const char* why) {
  if (is_set("EMULATOR_EXPLAIN")) std::fprintf(stderr, "emulator: %s refuses: %s\n", library, why);
  return status;
}

}  // namespace dml::emulator
