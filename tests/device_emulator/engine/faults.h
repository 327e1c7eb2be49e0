// Faults on demand, and what ends the process: rules that were broken, entry points that do not exist here.
#pragma once

namespace dml::emulator {

/// The code of the fault that this operation meets while it runs (EMULATOR_FAIL=operation:n:code), or 0. Sleeps by
/// EMULATOR_DELAY=operation:n:milliseconds.
int injected_fault();

/// An entry point of the real library that the emulated one lacks was called: a violation that names it.
[[noreturn]] void missing(const char* library, const char* name);

/// Reports leaks and counts at the end of the process. Repeated calls do nothing.
void report_at_exit();

}  // namespace dml::emulator
