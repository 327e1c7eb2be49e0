#include "runtime/program/arena.h"

#include <algorithm>
#include <vector>

#include "parallel/memory/memory_plan.h"
#include "runtime/device/device.h"

namespace dml {
namespace {

constexpr unsigned char kPattern = 0xA5;

}  // namespace

void Arena::Release::operator()(std::byte* memory) const { device->release(memory); }

Arena::Arena(Device& device, std::int64_t bytes) : memory_(nullptr, Release{&device}), size_(aligned_bytes(bytes)) {
  if (size_ == 0) return;
  memory_.reset(device.allocate(size_));
  device.fill(memory_.get(), kPattern, static_cast<std::size_t>(size_));
}

std::int64_t Arena::touched_bytes() const {
  constexpr std::int64_t kPiece = 1 << 20;
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(kPiece, size_)));
  for (std::int64_t end = size_; end > 0;) {
    const std::int64_t begin = std::max<std::int64_t>(0, end - kPiece);
    memory_.get_deleter().device->download(piece.data(), data() + begin, static_cast<std::size_t>(end - begin));
    for (; end > begin; --end) {
      if (piece[static_cast<std::size_t>(end - begin - 1)] != std::byte{kPattern}) return end;
    }
  }
  return 0;
}

}  // namespace dml
