#include "tests/device_emulator/nccl/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace dml::emulator::nccl {

namespace {

std::size_t seats_at() { return 4096; }
std::size_t pipes_at(int ranks) { return seats_at() + sizeof(Seat) * static_cast<std::size_t>(ranks); }
std::size_t splits_at(int ranks) { return pipes_at(ranks) + sizeof(Pipe) * static_cast<std::size_t>(ranks * ranks); }
std::size_t bytes_of(int ranks) {
  return splits_at(ranks) + sizeof(SplitEntry) * static_cast<std::size_t>(kMaxSplits * ranks);
}

std::uint64_t fresh_nonce() {
  static std::atomic<std::uint64_t> made{0};
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return (static_cast<std::uint64_t>(now.tv_sec) << 30 ^ static_cast<std::uint64_t>(now.tv_nsec)) * 1024 + ++made;
}

}  // namespace

Origin Segment::create() {
  const int file = memfd_create("emulated-nccl", MFD_CLOEXEC);
  return {static_cast<std::int32_t>(getpid()), file, fresh_nonce()};
}

void Segment::release(const Origin& origin) const {
  if (origin.process == getpid() && head().released.exchange(1) == 0) close(origin.file);
}

Segment::~Segment() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

bool Segment::open(const Origin& origin, int ranks, std::string& why) {
  const std::string path = "/proc/" + std::to_string(origin.process) + "/fd/" + std::to_string(origin.file);
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) {
    why = "the rank that made the unique id has ended (" + std::string(std::strerror(errno)) + ")";
    return false;
  }
  ranks_ = ranks;
  bytes_ = bytes_of(ranks);
  void* data = MAP_FAILED;
  // Only grown: ranks that were told another size must not cut off what is mapped.
  if (lseek(file, 0, SEEK_END) >= static_cast<off_t>(bytes_) || ftruncate(file, static_cast<off_t>(bytes_)) == 0) {
    data = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  close(file);
  if (data == MAP_FAILED) {
    why = "no shared memory (" + std::string(std::strerror(errno)) + ")";
    return false;
  }
  data_ = static_cast<char*>(data);
  std::uint64_t none = 0;
  std::int32_t nobody = 0;
  const bool mine = head().nonce.compare_exchange_strong(none, origin.nonce) || none == origin.nonce;
  const bool agreed = head().ranks.compare_exchange_strong(nobody, ranks) || nobody == ranks;
  if (!mine) why = "the unique id is of a process that has ended";
  if (!agreed) why = "ranks disagree on their number: " + std::to_string(nobody) + " and " + std::to_string(ranks);
  return mine && agreed;
}

Head& Segment::head() const { return *reinterpret_cast<Head*>(data_); }
Seat& Segment::seat(int rank) const { return reinterpret_cast<Seat*>(data_ + seats_at())[rank]; }
Pipe& Segment::pipe(int from, int to) const {
  return reinterpret_cast<Pipe*>(data_ + pipes_at(ranks_))[from * ranks_ + to];
}
SplitEntry& Segment::split(int turn, int rank) const {
  return reinterpret_cast<SplitEntry*>(data_ + splits_at(ranks_))[turn * ranks_ + rank];
}

}  // namespace dml::emulator::nccl
