#include "runtime/comm/collectives/block_reduction.h"

#include "runtime/comm/collectives/sum.h"

namespace dml {

BlockReduction::BlockReduction(Transport& transport, const Group& group, Lanes& pieces, Lanes& sends)
    : transport_(transport), group_(group), pieces_(pieces), sends_(sends), sources_(group.members.size()) {}

void BlockReduction::start(void* out, const void* in, DataType dtype, std::span<const std::int64_t> begins, int label) {
  out_ = out;
  in_ = static_cast<const std::byte*>(in);
  dtype_ = dtype;
  begins_ = begins;
  pieces_.clear(label);
  sends_.clear(label);
  const auto n = static_cast<std::size_t>(group_.size());
  const auto me = static_cast<std::size_t>(group_.rank);
  const auto bytes_of = [&](std::size_t rank) {
    return static_cast<std::size_t>(begins[rank + 1] - begins[rank]) * size_of(dtype);
  };
  const std::size_t mine = bytes_of(me);
  std::byte* scratch = transport_.lends() ? nullptr : scratch_.need(mine * (n - 1));
  reduced_ = mine == 0;
  for (std::size_t distance = 1; distance < n; ++distance) {
    const std::size_t peer = (me + distance) % n;
    std::byte* place = scratch == nullptr ? nullptr : scratch + (distance - 1) * mine;
    if (mine > 0) pieces_.borrow(static_cast<int>(peer), place, mine);
  }
  for (std::size_t distance = 1; distance < n; ++distance) {
    const std::size_t peer = (me + distance) % n;
    const std::byte* block = in_ + static_cast<std::size_t>(begins[peer]) * size_of(dtype);
    if (bytes_of(peer) > 0) {
      sends_.send(static_cast<int>(peer), block, bytes_of(peer));
    } else {
      sends_.skip(static_cast<int>(peer));
    }
  }
}

bool BlockReduction::reduced() {
  if (reduced_) return true;
  if (!pieces_.arrived()) return false;
  const auto me = static_cast<std::size_t>(group_.rank);
  sources_[me] = in_ + static_cast<std::size_t>(begins_[me]) * size_of(dtype_);
  for (std::size_t place = 0; place < pieces_.size(); ++place) {
    sources_[static_cast<std::size_t>(pieces_.peer(place))] = pieces_.open(place);
  }
  sum_in_order(out_, sources_, begins_[me + 1] - begins_[me], dtype_);
  pieces_.release();
  reduced_ = true;
  return true;
}

void BlockReduction::reserve(std::int64_t bytes) {
  if (!transport_.lends()) scratch_.need(static_cast<std::size_t>(bytes));
}

}  // namespace dml
