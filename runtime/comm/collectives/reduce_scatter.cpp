#include "runtime/comm/collectives/reduce_scatter.h"

#include <numeric>

namespace dml {

ReduceScatter::ReduceScatter(Transport& transport, const Group& group)
    : Operation(transport, group),
      pieces_(add_receives()),
      sends_(add_sends()),
      reduction_(transport, group, pieces_, sends_),
      begins_(group.members.size() + 1) {}

void ReduceScatter::start(TensorView out, TensorView in, std::span<const std::int64_t> counts, std::int64_t sequence) {
  view = in;
  std::partial_sum(counts.begin(), counts.end(), begins_.begin() + 1);
  reduction_.start(out.data, in.data, in.dtype, begins_, collective_label(sequence, 0));
}

bool ReduceScatter::advance() {
  const bool reduced = reduction_.reduced();
  return sends_.poll() && reduced;
}

}  // namespace dml
