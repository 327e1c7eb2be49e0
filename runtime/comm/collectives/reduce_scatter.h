// The sum over all ranks, of which each keeps its part: one step, what the others keep is sent.
#pragma once

#include <span>
#include <vector>

#include "runtime/comm/collectives/block_reduction.h"
#include "runtime/comm/operation.h"

namespace dml {

class ReduceScatter final : public Operation {
 public:
  ReduceScatter(Transport& transport, const Group& group);
  void start(TensorView out, TensorView in, std::span<const std::int64_t> counts, std::int64_t sequence);
  bool advance() override;
  void reserve(std::int64_t bytes) { reduction_.reserve(bytes); }

 private:
  Lanes& pieces_;
  Lanes& sends_;
  BlockReduction reduction_;
  std::vector<std::int64_t> begins_;
};

}  // namespace dml
