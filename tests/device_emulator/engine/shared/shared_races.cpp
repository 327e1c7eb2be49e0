#include "tests/device_emulator/engine/shared/shared_races.h"

#include "tests/device_emulator/engine/thread.h"

namespace dml::emulator {
void SharedRaces::begin_block(std::size_t bytes, unsigned num_warps) {
  if (bytes_.size() < bytes) bytes_.resize(bytes);
  if (warp_epochs_.size() < num_warps) warp_epochs_.resize(num_warps);
  ++epoch_;
}

// Threads of one warp are ordered by its operations, all others by barriers alone.
bool SharedRaces::races(const Access& access, unsigned thread) const {
  if (access.epoch != epoch_) return false;
  const unsigned warp = thread / kLanes;
  if (access.by_several_warps || access.thread / kLanes != warp) return true;
  return access.warp_epoch == warp_epochs_[warp] && (access.by_several || access.thread != thread);
}

void SharedRaces::add_read(Access& read, const Access& now) const {
  if (read.epoch != epoch_) {
    read = now;
  } else if (read.thread / kLanes != now.thread / kLanes) {
    read.by_several_warps = true;
  } else if (read.warp_epoch != now.warp_epoch) {
    const bool by_several_warps = read.by_several_warps;
    read = now;
    read.by_several_warps = by_several_warps;
  } else if (read.thread != now.thread) {
    read.by_several = true;
  }
}

SharedRaces::Race SharedRaces::note(unsigned thread, std::size_t begin, std::size_t count, bool is_write) {
  const Access now{epoch_, warp_epochs_[thread / kLanes], static_cast<std::uint16_t>(thread), false, false};
  for (std::size_t i = begin; i < begin + count; ++i) {
    Byte& byte = bytes_[i];
    if (races(byte.write, thread)) return {true, true, byte.write.thread};
    if (is_write && races(byte.read, thread)) return {true, false, byte.read.thread};
    if (is_write) {
      byte.write = now;
    } else {
      add_read(byte.read, now);
    }
  }
  return {};
}

}  // namespace dml::emulator
