// One transfer of one rank on its way, piece by piece through the shared segment; nothing here waits.
#pragma once

#include <cstddef>
#include <vector>

#include "tests/device_emulator/nccl/communicator.h"
#include "tests/device_emulator/nccl/transfer.h"

namespace dml::emulator::nccl {

/// A collective goes in rounds of a chunk: every rank lays its part into its seat, and when all have, each takes what
/// it needs from all seats. Sums start with another rank from chunk to chunk, as around a ring, and are the same on all
/// ranks. Ends the process where the ranks do not do the same.
class Collective {
 public:
  Collective(Communicator& communicator, const Transfer& transfer);
  /// True once this rank is done.
  bool advance();

 private:
  enum class Phase { lay, take, leave };

  std::size_t elems_of_round() const;
  void lay();
  void take();
  void take_sum(std::size_t elems);
  void check_peers() const;
  bool all(std::atomic<std::uint64_t> Seat::*counter) const;

  Communicator& communicator_;
  Transfer transfer_;
  std::size_t element_, total_, position_ = 0;
  Phase phase_ = Phase::lay;
  std::vector<char> sums_;
};

/// A message through the pipe from one rank to another: its head first, so that a receive of another count or type than
/// was sent is noticed.
class Message {
 public:
  Message(Communicator& communicator, const Transfer& transfer);
  bool advance();

 private:
  struct Head {
    std::uint64_t count;
    std::int64_t type;
  };

  bool advance_head();
  bool move(char* bytes, std::size_t count, std::size_t& done);

  Communicator& communicator_;
  Transfer transfer_;
  Pipe& pipe_;
  Head head_;
  std::size_t head_done_ = 0, position_ = 0;
};

}  // namespace dml::emulator::nccl
