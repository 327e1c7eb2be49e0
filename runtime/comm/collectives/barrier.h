// Nobody leaves before all have come: in step k everybody hears from the rank 2^k before it (dissemination),
// ceil(log2 n) steps of empty messages.
#pragma once

#include "runtime/comm/operation.h"

namespace dml {

class Barrier final : public Operation {
 public:
  Barrier(Transport& transport, const Group& group);
  void start(std::int64_t sequence);
  bool advance() override;

 private:
  Lanes& words_;
  Lanes& sends_;
};

}  // namespace dml
