// The first half of a large all-reduce: every rank owns one block; peers send it theirs, and it sums them in rank
// order. One step, (n-1)/n of the data sent per rank. Direct instead of a ring, because a ring adds in another order on
// each block and takes n-1 steps.
#pragma once

#include <span>
#include <vector>

#include "kernels/tensor.h"
#include "runtime/comm/collectives/scratch.h"
#include "runtime/comm/lanes.h"

namespace dml {

class BlockReduction {
 public:
  BlockReduction(Transport& transport, const Group& group, Lanes& pieces, Lanes& sends);

  /// `begins` (n+1 elements) says where the ranks' blocks of `in` begin and end; this rank's sum goes to `out`, which
  /// may be its own place in `in`. `begins` must live until it is reduced.
  void start(void* out, const void* in, DataType dtype, std::span<const std::int64_t> begins, int label);
  /// True once `out` is complete. Peers may still read `in`, until the sends are done.
  bool reduced();
  void reserve(std::int64_t bytes);

 private:
  Transport& transport_;
  const Group& group_;
  Lanes& pieces_;
  Lanes& sends_;
  Scratch scratch_;
  void* out_ = nullptr;
  const std::byte* in_ = nullptr;
  DataType dtype_ = DataType::f32;
  std::span<const std::int64_t> begins_;
  bool reduced_ = false;
  std::vector<const void*> sources_;
};

}  // namespace dml
