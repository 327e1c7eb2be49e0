// Everybody's part to everybody: one step, (n-1) times the own part sent.
#pragma once

#include <span>

#include "runtime/comm/operation.h"

namespace dml {

class AllGather final : public Operation {
 public:
  AllGather(Transport& transport, const Group& group);
  void start(TensorView out, TensorView in, std::span<const std::int64_t> counts, std::int64_t sequence);
  bool advance() override;

 private:
  Lanes& parts_;
  Lanes& sends_;
};

}  // namespace dml
