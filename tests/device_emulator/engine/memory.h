// Memory of the emulated devices. Every allocation lies between pages that cannot be touched, ends at most 255 bytes
// before the next of them, and addresses are never used twice: what is freed stays out of reach. So most accesses out
// of bounds and all uses after free end the process, by name. Fresh memory is NaN.
#pragma once

#include <cstddef>
#include <string>

namespace dml::emulator {

/// Reserves the devices' address space and installs the handler that names bad accesses. Repeated calls do nothing.
void reserve_memory();

/// Null: the device has not that much left. Zero bytes are none.
void* allocate_on_device(int device, std::size_t bytes);
/// False: not the begin of an allocation. Bytes written behind the end are a violation.
bool free_on_device(void* address);

/// Page-locked memory, NaN at first; host code and operations may address it.
void* allocate_on_host(std::size_t bytes);
bool free_on_host(void* address);
void pin(void* address, std::size_t bytes);
bool unpin(void* address);

struct Allocation {
  enum Kind { none, device, pinned } kind = none;
  const char* begin = nullptr;
  std::size_t bytes = 0;
  int device_index = -1;
  unsigned long long number = 0;  ///< in the order of allocation, from 1
};
/// The allocation that holds the address, or one of kind none.
Allocation allocation_of(const void* address);

std::size_t bytes_used(int device);
int device_of_address(const void* address);  ///< -1: host memory

/// Ends the process where bytes behind the end of an allocation were written. `who` has done it.
void check_guards(const std::string& who);
/// The first byte of a range that nobody has written since it was allocated, or the range's size: by the fill of fresh
/// memory, which results of arithmetic do not have.
std::size_t first_unwritten(const void* address, std::size_t bytes);

/// While one of these lives, its thread may address device memory.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

/// What is left, for the report at exit: "3 allocations (4096 bytes), the first is #2", or an empty string.
std::string leaked_memory();

}  // namespace dml::emulator
