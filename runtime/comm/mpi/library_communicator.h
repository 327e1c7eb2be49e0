// The collectives of the MPI library behind the same interface: its tuned and hierarchical algorithms pay between many
// nodes. The order of summation is the library's, so bits may differ from ours and between layouts of ranks on nodes.
#pragma once

#include <memory>
#include <span>

#include "runtime/comm/group_communicator.h"

namespace dml {

class MpiLibraryCommunicator final : public GroupCommunicator {
 public:
  /// The engine's transport must be an MpiTransport.
  using GroupCommunicator::GroupCommunicator;

 protected:
  Ticket post_all_reduce(TensorView data) override;
  Ticket post_all_gather(TensorView out, TensorView in, std::span<const std::int64_t> counts) override;
  Ticket post_reduce_scatter(TensorView out, TensorView in, std::span<const std::int64_t> counts) override;
  Ticket post_broadcast(TensorView data, int root) override;
  Ticket post_barrier() override;
  std::unique_ptr<Communicator> make_part(Group group) override;

 private:
  Pool library_operations_;
};

}  // namespace dml
