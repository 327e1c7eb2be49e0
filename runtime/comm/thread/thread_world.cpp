#include <fmt/format.h>

#include <numeric>
#include <stdexcept>

#include "runtime/comm/communicator.h"
#include "runtime/comm/group_communicator.h"
#include "runtime/comm/shaped_transport.h"
#include "runtime/comm/thread/thread_transport.h"

namespace dml {

std::vector<std::unique_ptr<Communicator>> make_thread_world(int size, const CommOptions& options) {
  if (size < 1) throw std::invalid_argument(fmt::format("[make_thread_world] size {} is below 1", size));
  auto world = std::make_shared<ThreadWorld>(size);
  Group group;
  group.members.resize(static_cast<std::size_t>(size));
  std::iota(group.members.begin(), group.members.end(), 0);
  std::vector<std::unique_ptr<Communicator>> ranks;
  const std::vector<int> host_of_rank(group.members.size(), 0);
  for (int rank = 0; rank < size; ++rank) {
    group.rank = rank;
    auto engine =
        std::make_shared<Engine>(shape_links(std::make_unique<ThreadTransport>(world, rank), options, host_of_rank));
    ranks.push_back(std::make_unique<GroupCommunicator>(std::move(engine), group, options));
  }
  return ranks;
}

}  // namespace dml
