// What kernels compiled for the CPU share with the emulated device: the running thread of a block, its barriers, and
// how a kernel makes itself known. The device language (language/) is written in these terms.
#pragma once

#include <vector_types.h>

#include <cstddef>
#include <cstdint>

namespace dml::emulator {

/// The block that the calling thread of the operating system runs.
struct Block {
  uint3 index{};
  dim3 size{};
  dim3 grid{};
  void* dynamic_shared = nullptr;
};

inline constexpr unsigned kLanes = 32;  ///< threads of a warp

/// A thread of that block, as far as kernels see it.
struct ThreadView {
  uint3 index{};
  unsigned lane = 0;
};

// Loaded with the program, so both are at fixed offsets of the thread pointer.
extern __thread ThreadView* running_thread __attribute__((tls_model("initial-exec")));
extern __thread Block running_block __attribute__((tls_model("initial-exec")));

/// A call in a kernel's source: what tells barriers apart.
struct Site {
  const char* file = "";
  unsigned line = 0;
  unsigned column = 0;
};

enum class Vote { count, all, any };

/// __syncthreads and its votes: all threads of the block that have not ended come to the same call.
void wait_for_block(const Site& site);
int vote_of_block(bool predicate, Vote vote, const Site& site);

/// Waits for all lanes of `mask` that have not ended; then every lane's value, valid until the lane's next wait.
/// `present`: the lanes that took part.
const std::uint64_t* exchange_in_warp(unsigned mask, std::uint64_t value, unsigned& present);

/// Kernels whose accesses are watched tell each of them before it is made: two threads that use one byte of shared
/// memory with no barrier between, and an access out of bounds, are violations.
void note_access(const void* address, std::size_t bytes, bool is_write);

/// Numbered places of the kernels' sources that tests can leave out (mutable_kernels.py).
inline constexpr int kMostPlaces = 1024;
extern const int place_left_out;
extern bool places_reached[kMostPlaces];
inline bool is_left_out(int place) {
  places_reached[place] = true;
  return place == place_left_out;
}

/// Nanoseconds of a clock that only goes forward.
long long clock_of_device();

/// How a kernel is run with arguments that were packed when it was launched.
struct Kernel {
  const void* function = nullptr;
  void (*call)(const void* arguments) = nullptr;
  void (*pack)(void** from, void* to) = nullptr;
  std::size_t argument_bytes = 0;
  void (*touch_shared)() = nullptr;  ///< makes the loader give this thread the library's __shared__ variables
};

/// Called by the static initialisation of a library of kernels.
void add_kernel(const Kernel& kernel);

}  // namespace dml::emulator
