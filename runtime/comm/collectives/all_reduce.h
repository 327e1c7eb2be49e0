// Sum over all ranks, on all ranks, in place. Both algorithms add every element in rank order, so they give the same
// bits, and which one runs is a matter of speed alone.
#pragma once

#include <vector>

#include "runtime/comm/collectives/block_reduction.h"
#include "runtime/comm/operation.h"

namespace dml {

/// Everybody sends everything to everybody, and sums: one step, (n-1) · bytes sent per rank.
class ExchangeAllReduce final : public Operation {
 public:
  ExchangeAllReduce(Transport& transport, const Group& group);
  void start(TensorView data, std::int64_t sequence);
  bool advance() override;
  void reserve(std::int64_t bytes);

 private:
  Lanes& pieces_;
  Lanes& sends_;
  Scratch scratch_;
  std::vector<const void*> sources_;
};

/// Every rank sums one block and sends it to all: two steps, 2(n-1)/n · bytes sent per rank.
class BlockAllReduce final : public Operation {
 public:
  BlockAllReduce(Transport& transport, const Group& group);
  void start(TensorView data, std::int64_t sequence);
  bool advance() override;
  void reserve(std::int64_t bytes);
  /// Of a sum for which nothing more is allocated.
  std::int64_t capacity() const { return capacity_; }

 private:
  struct Bytes {
    std::byte* data;
    std::size_t size;
  };
  Bytes block(int rank) const;
  void send_sum();
  void receive_sums();

  Lanes& pieces_;
  Lanes& sums_;
  Lanes& piece_sends_;
  Lanes& sum_sends_;
  BlockReduction reduction_;
  std::vector<std::int64_t> begins_;
  std::int64_t capacity_ = 0;
  bool sent_ = false;
};

}  // namespace dml
