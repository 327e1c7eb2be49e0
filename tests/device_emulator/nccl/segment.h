// The memory that the ranks of a communicator share, whether they are processes or threads. It has no name in any file
// system: whoever makes it hands out its process and descriptor, and nothing is left when the last rank ends.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace dml::emulator::nccl {

constexpr int kMaxRanks = 64;
constexpr std::size_t kChunkBytes = 256 << 10;  ///< of a collective that are in the air at a time
constexpr std::size_t kPipeBytes = 64 << 10;
constexpr int kMaxSplits = 64;

/// Where a segment is found: descriptor `file` of process `process`. The nonce tells it from a later one there.
struct Origin {
  std::int32_t process;
  std::int32_t file;
  std::uint64_t nonce;
};

/// What a rank does, as its peers compare it with what they do.
struct Signature {
  std::uint64_t turn;
  std::uint64_t count;
  std::int32_t kind, type, reduction, root;
};

/// Of a rank: what it says about itself, and the part of its data that the others read now.
struct Seat {
  alignas(64) std::atomic<std::uint64_t> arrived;  ///< rounds of collectives that this rank's data is there for
  std::atomic<std::uint64_t> left;                 ///< rounds that this rank has read all data of
  std::atomic<std::int32_t> process;               ///< 0: nobody sits here yet
  std::atomic<std::uint64_t> device;               ///< one number for each device of the machine
  std::atomic<std::int32_t> aborted;
  Signature signature;
  char doing[160];  ///< for reports of hangs; torn text does no harm
  alignas(64) char data[kChunkBytes];
};

/// A ring of bytes from one rank to another.
struct Pipe {
  alignas(64) std::atomic<std::uint64_t> written;
  std::atomic<std::uint64_t> read;
  char data[kPipeBytes];
};

/// What a rank wants of one split, and where the group that it leads meets.
struct SplitEntry {
  std::atomic<std::int32_t> is_there;
  std::int32_t color, key;
  std::atomic<std::int32_t> has_origin;
  Origin origin;
};

struct Head {
  std::atomic<std::uint64_t> nonce;
  std::atomic<std::int32_t> ranks;
  std::atomic<std::int32_t> joined;
  std::atomic<std::int32_t> released;
};

class Segment {
 public:
  /// An empty segment, whose descriptor stays open in this process until all ranks have opened it: see release.
  static Origin create();

  Segment() = default;
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment();

  /// Maps the segment; false, with the reason, where it is gone or was made for another number of ranks.
  bool open(const Origin& origin, int ranks, std::string& why);

  /// Called by every rank once all have joined: lets go of the descriptor in the process that holds it.
  void release(const Origin& origin) const;

  Head& head() const;
  Seat& seat(int rank) const;
  Pipe& pipe(int from, int to) const;
  SplitEntry& split(int turn, int rank) const;

 private:
  char* data_ = nullptr;
  std::size_t bytes_ = 0;
  int ranks_ = 0;
};

}  // namespace dml::emulator::nccl
