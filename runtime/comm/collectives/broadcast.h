// The root's data to everybody along a binomial tree: ceil(log2 n) steps.
#pragma once

#include "runtime/comm/operation.h"

namespace dml {

class Broadcast final : public Operation {
 public:
  Broadcast(Transport& transport, const Group& group);
  void start(TensorView data, int root, std::int64_t sequence);
  bool advance() override;

 private:
  Lanes& parent_;
  Lanes& children_;
  int root_ = 0;
  bool forwarded_ = false;
};

}  // namespace dml
