// Makes links slow: a message between two islands of ranks is received later than it came, by a latency and by its
// length over a rate. For trying what a network does to a training where the kernel cannot shape its links.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/comm/transport.h"

namespace dml {

struct ShapedRequest final : Request {
  Request* inner = nullptr;
  std::size_t bytes = 0;
  bool slow = false;     ///< a receive over a shaped link
  bool arrived = false;  ///< it has come, and is held back
  std::chrono::steady_clock::time_point due;
  ShapedRequest* next = nullptr;  ///< among the free
};

/// Every rank has one incoming link of the rate, which its slow messages share in the order in which they come. Time
/// runs from when the rank finds the message, so a rank that computes without progress gets it later still.
class ShapedTransport final : public Transport {
 public:
  /// `island` is that of each world rank.
  ShapedTransport(std::unique_ptr<Transport> inner, const LinkShape& shape, std::vector<int> island);

  const char* name() const override { return inner_->name(); }
  int world_rank() const override { return inner_->world_rank(); }
  Request* send(const void* data, std::size_t bytes, const Group& group, int peer, int label) override;
  Request* receive(void* data, std::size_t bytes, const Group& group, int peer, int label) override;
  Request* borrow(void* scratch, std::size_t bytes, const Group& group, int peer, int label) override;
  bool lends() const override { return inner_->lends(); }
  const void* open(Request* request) override { return inner_->open(static_cast<ShapedRequest*>(request)->inner); }
  void recycle(Request* request) noexcept override;
  void cancel(Request* request) noexcept override;
  void reserve(int requests) override;
  bool progress() override;
  void fail(const std::string& reason) noexcept override { inner_->fail(reason); }
  int propose_group() override { return inner_->propose_group(); }
  int open_group(const Group& parent, int color, int rank, int proposed) override {
    return inner_->open_group(parent, color, rank, proposed);
  }
  void close_group(int id) noexcept override { inner_->close_group(id); }

 private:
  using Time = std::chrono::steady_clock::time_point;
  bool is_slow(const Group& group, int peer) const;
  Request* follow(Request* inner, std::size_t bytes, bool slow);
  /// Whether the caller may see it as done.
  bool is_over(ShapedRequest& request, Time now);
  void release(ShapedRequest& request) noexcept;

  std::unique_ptr<Transport> inner_;
  const std::chrono::duration<double> latency_;
  const double bytes_per_s_;
  const std::vector<int> island_;
  Time link_free_{};                    ///< when all that has arrived is through the link
  std::deque<ShapedRequest> requests_;  ///< all ever made
  std::vector<ShapedRequest*> in_flight_;
  ShapedRequest* free_ = nullptr;
};

/// `transport` as `options` want it: shaped between its islands, or as it is. `host_of_rank` are the islands where the
/// options name none. Throws std::invalid_argument where no two ranks are on different islands.
std::unique_ptr<Transport> shape_links(std::unique_ptr<Transport> transport, const CommOptions& options,
                                       std::span<const int> host_of_rank);

}  // namespace dml
