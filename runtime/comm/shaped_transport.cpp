#include "runtime/comm/shaped_transport.h"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <utility>

namespace dml {

ShapedTransport::ShapedTransport(std::unique_ptr<Transport> inner, const LinkShape& shape, std::vector<int> island)
    : inner_(std::move(inner)), latency_(shape.latency_s), bytes_per_s_(shape.bytes_per_s), island_(std::move(island)) {
  reserve(64);
}

void ShapedTransport::reserve(int requests) {
  while (requests_.size() < static_cast<std::size_t>(requests)) {
    ShapedRequest& request = requests_.emplace_back();
    request.next = free_;
    free_ = &request;
  }
  in_flight_.reserve(requests_.size());
  inner_->reserve(requests);
}

bool ShapedTransport::is_slow(const Group& group, int peer) const {
  const auto island_of = [&](int rank) { return island_[static_cast<std::size_t>(rank)]; };
  return island_of(inner_->world_rank()) != island_of(group.members[static_cast<std::size_t>(peer)]);
}

Request* ShapedTransport::follow(Request* inner, std::size_t bytes, bool slow) {
  if (free_ == nullptr) reserve(static_cast<int>(requests_.size()) + 64);
  ShapedRequest* const request = free_;
  free_ = request->next;
  request->done.store(false, std::memory_order_relaxed);
  request->inner = inner;
  request->bytes = bytes;
  request->slow = slow;
  request->arrived = false;
  in_flight_.push_back(request);
  return request;
}

Request* ShapedTransport::send(const void* data, std::size_t bytes, const Group& group, int peer, int label) {
  return follow(inner_->send(data, bytes, group, peer, label), bytes, false);
}

Request* ShapedTransport::receive(void* data, std::size_t bytes, const Group& group, int peer, int label) {
  return follow(inner_->receive(data, bytes, group, peer, label), bytes, is_slow(group, peer));
}

Request* ShapedTransport::borrow(void* scratch, std::size_t bytes, const Group& group, int peer, int label) {
  return follow(inner_->borrow(scratch, bytes, group, peer, label), bytes, is_slow(group, peer));
}

bool ShapedTransport::is_over(ShapedRequest& request, Time now) {
  if (!request.inner->done.load(std::memory_order_acquire)) return false;
  if (!request.slow) return true;
  if (!request.arrived) {
    const std::chrono::duration<double> on_link(static_cast<double>(request.bytes) / bytes_per_s_);
    link_free_ = std::max(link_free_, now) + std::chrono::duration_cast<Time::duration>(on_link);
    request.due = link_free_ + std::chrono::duration_cast<Time::duration>(latency_);
    request.arrived = true;
  }
  return now >= request.due;
}

bool ShapedTransport::progress() {
  bool moved = inner_->progress();
  const Time now = std::chrono::steady_clock::now();
  std::erase_if(in_flight_, [&](ShapedRequest* request) {
    if (!is_over(*request, now)) return false;
    request->done.store(true, std::memory_order_relaxed);
    moved = true;
    return true;
  });
  return moved;
}

void ShapedTransport::release(ShapedRequest& request) noexcept {
  request.next = free_;
  free_ = &request;
}

void ShapedTransport::recycle(Request* request) noexcept {
  auto& mine = *static_cast<ShapedRequest*>(request);
  inner_->recycle(mine.inner);
  release(mine);
}

void ShapedTransport::cancel(Request* request) noexcept {
  auto& mine = *static_cast<ShapedRequest*>(request);
  inner_->cancel(mine.inner);
  std::erase(in_flight_, &mine);
  release(mine);
}

std::unique_ptr<Transport> shape_links(std::unique_ptr<Transport> transport, const CommOptions& options,
                                       std::span<const int> host_of_rank) {
  if (!options.shape) return transport;
  const bool by_host = options.shape->island.empty();
  std::vector<int> island(host_of_rank.begin(), host_of_rank.end());
  if (!by_host) island = options.shape->island;
  if (std::ranges::adjacent_find(island, std::not_equal_to<>()) == island.end()) {
    throw std::invalid_argument(by_host
                                    ? "--shape-link: all ranks are on one host: name an axis whose links to shape, as "
                                      "in --shape-link 50,10:d"
                                    : "--shape-link: the axis that it names has one rank: name another");
  }
  return std::make_unique<ShapedTransport>(std::move(transport), *options.shape, std::move(island));
}

}  // namespace dml
