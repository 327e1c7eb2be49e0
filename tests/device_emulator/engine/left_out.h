// What a test leaves out of the program, to see whether another test misses it: a call, the stream of a call, or a
// numbered place in a kernel's source; and what a benchmark leaves out: all calls. Settings: EMULATOR_LEAVE_OUT,
// EMULATOR_SITES.
#pragma once

#include <string>

namespace dml::emulator {

/// Whether this call of an entry point is left out: all of the calling thread are (benchmarks/host_cost), or the one of
/// this place in the program is.
bool is_call_left_out(const char* api);

/// Notes at exit which calls, streams and places were reached (EMULATOR_SITES).
void write_sites();

}  // namespace dml::emulator
