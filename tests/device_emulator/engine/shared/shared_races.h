// Which thread of a block last wrote and read each byte of shared memory, to find two threads that use one byte with
// neither a barrier nor, within a warp, a warp operation between them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dml::emulator {

class SharedRaces {
 public:
  /// A block begins: nothing that was done before it counts.
  void begin_block(std::size_t bytes, unsigned num_warps);
  void pass_barrier() { ++epoch_; }
  void pass_warp_operation(unsigned warp) { ++warp_epochs_[warp]; }

  struct Race {
    bool is_found = false;
    bool other_wrote = false;
    unsigned other = 0;  ///< thread of the block
  };
  /// Notes an access of `thread` to bytes [begin, begin + count), and says whether it races with an earlier one.
  Race note(unsigned thread, std::size_t begin, std::size_t count, bool is_write);

 private:
  /// The last accesses of one kind. Several readers of one warp are one of them and `by_several`.
  struct Access {
    std::uint32_t epoch = 0;
    std::uint32_t warp_epoch = 0;
    std::uint16_t thread = 0;
    bool by_several = false;
    bool by_several_warps = false;
  };
  struct Byte {
    Access write;
    Access read;
  };

  bool races(const Access& access, unsigned thread) const;
  void add_read(Access& read, const Access& now) const;

  std::vector<Byte> bytes_;
  std::vector<std::uint32_t> warp_epochs_;
  std::uint32_t epoch_ = 0;  ///< 0: never
};

}  // namespace dml::emulator
