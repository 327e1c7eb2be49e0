// The lists of an action file: passes, sends and receives, as they stand in a line.
#pragma once

#include <vector>

#include "parallel/pipeline/schedule.h"
#include "parallel/pipeline/stage_links.h"

namespace dml {

/// A pass, or the transfer of a pass's result: `send` names the pass that made it, `receive` the one that needs it.
struct ListedAction {
  enum class Kind : std::uint8_t { pass, send, receive };
  Kind kind = Kind::pass;
  Action action;
  /// In PyTorch's grammar, an overlapped pass apart.
  std::string to_string() const;
};
using ActionList = std::vector<ListedAction>;

/// `orders` with the transfers that they need, as PyTorch places them.
std::vector<ActionList> with_transfers(std::span<const Order> orders, const Placement& placement,
                                       const StageLinks& links);

/// Throws std::invalid_argument unless what crosses positions is sent once, behind the pass that makes it, received
/// once, before the pass that needs it, in the order in which it was sent, and nobody waits for ever.
void check_transfers(std::span<const ActionList> lists, const Placement& placement, const StageLinks& links);

}  // namespace dml
