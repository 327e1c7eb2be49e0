// Linked with kernels that the compiler was told to instrument for ThreadSanitizer: each of their accesses comes here,
// and none to ThreadSanitizer itself.
#include <cstddef>

#include "tests/device_emulator/engine/thread.h"

#define DML_WATCH(bytes)                                                                                    \
  void __tsan_read##bytes(void* address) { ::dml::emulator::note_access(address, bytes, false); }           \
  void __tsan_write##bytes(void* address) { ::dml::emulator::note_access(address, bytes, true); }           \
  void __tsan_unaligned_read##bytes(void* address) { ::dml::emulator::note_access(address, bytes, false); } \
  void __tsan_unaligned_write##bytes(void* address) { ::dml::emulator::note_access(address, bytes, true); }

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier,misc-definitions-in-headers)
void __tsan_init() {}
DML_WATCH(1)
DML_WATCH(2)
DML_WATCH(4)
DML_WATCH(8)
DML_WATCH(16)
void __tsan_read_range(void* address, std::size_t bytes) { ::dml::emulator::note_access(address, bytes, false); }
void __tsan_write_range(void* address, std::size_t bytes) { ::dml::emulator::note_access(address, bytes, true); }
void __tsan_vptr_update(void**, void*) {}
// NOLINTEND(bugprone-reserved-identifier,misc-definitions-in-headers)

}  // extern "C"
