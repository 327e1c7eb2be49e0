// A pipeline schedule: the order in which each position runs the passes of its stages. A pure function of
// (stages, microbatches); adding one touches its own file and the table in schedule.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/graph.h"
#include "parallel/mesh.h"

namespace dml {

/// One pass of one stage over one microbatch. `input_grad` with `fused` runs the weight gradients too.
struct Action {
  Phase phase = Phase::forward;
  int stage = 0;
  int microbatch = 0;
  bool fused = true;  ///< of input_grad: B and W in one pass
  friend bool operator==(const Action&, const Action&) = default;
  /// In PyTorch's grammar: "0F3", "1B2", "1I2", "1W2".
  std::string to_string() const;
};

/// The actions of one position, in order.
using Order = std::vector<Action>;

struct ScheduleDef {
  std::string_view name;
  int chunks = 1;  ///< stages per position
  Placement::Kind placement = Placement::Kind::block;
  /// `placement` has p·chunks stages. Throws std::invalid_argument where (p, m) has no such schedule.
  std::vector<Order> (*orders)(const Placement& placement, int microbatches) = nullptr;
};

std::span<const ScheduleDef> all_schedules();
/// Throws std::invalid_argument that lists the names.
const ScheduleDef& find_schedule(std::string_view name);

/// Every action once, forward before backward, no deadlock with unbounded channels. Throws std::invalid_argument.
void validate(std::span<const Order> orders, const Placement& placement, int microbatches);

/// GPipe (Huang et al. 2019): all forwards, then all backwards, both in microbatch order.
std::vector<Order> gpipe_orders(const Placement& placement, int microbatches);
/// 1F1B (PipeDream-flush, Narayanan et al. 2021): min(p - i - 1, m) warm-up forwards at position i, then one forward
/// and one backward in turn: at most p - i microbatches are alive there.
std::vector<Order> one_forward_one_backward_orders(const Placement& placement, int microbatches);

}  // namespace dml
