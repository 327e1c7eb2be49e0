// Schedules as text, in the grammar of PyTorch's pipeline schedules (torch.distributed.pipelining): one line per
// position, actions separated by commas. 0F3 is the forward pass of stage 0 over microbatch 3; 1B2 a whole backward
// pass, 1I2 and 1W2 its halves; (0F7;7B3)OVERLAP_F_B an overlapped pair; 0SEND_F3 sends what 0F3 made, 1RECV_F3
// receives it for stage 1, and 1SEND_B2, 0RECV_B2 likewise backward.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/pipeline/schedule.h"

namespace dml {

/// The passes alone.
std::string passes_text(std::span<const Order> orders);
/// With sends and receives: a send stands behind the pass that makes its value, and the receive is posted at that time,
/// as PyTorch places them. `orders` must be valid; `copies` as in ScheduleDef.
std::string actions_text(std::span<const Order> orders, const Placement& placement, int microbatches, int copies = 1);

struct ParsedSchedule {
  Placement placement;
  int microbatches = 1;
  std::vector<Order> orders;
};

/// Reads text of either kind; the placement and the number of microbatches follow from it. An empty cell is a step in
/// which nothing runs. "BW" is a whole backward pass, and "B" half of one where the file has its W as well (PyTorch's
/// older files). Throws std::invalid_argument, with line and action, where it is not of the grammar, not a valid
/// schedule (see validate), has stages placed neither in blocks nor in turn nor in a V, or names sends and receives
/// that do not match its passes or each other.
ParsedSchedule parse_actions(std::string_view text);

}  // namespace dml
