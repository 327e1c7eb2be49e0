// A pipeline schedule: the order in which each position runs the passes of its stages. A pure function of the
// pipeline's shape and costs; adding one touches its own file, orders.h and the table in schedule.cpp.
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
  /// Of forward: overlaps with the fused backward pass behind it, as one pass: both begin when both have their inputs.
  /// A runtime that runs the two one after the other computes the same.
  bool with_next = false;
  friend bool operator==(const Action&, const Action&) = default;
  /// In PyTorch's grammar: "0F3", "1B2", "1I2", "1W2".
  std::string to_string() const;
};

/// The actions of one position, in order.
using Order = std::vector<Action>;

/// What the passes of one stage take for one microbatch, in any one unit of time and any one of memory.
struct StageCost {
  double forward = 1;
  double input_grad = 1;
  double weight_grad = 1;
  double overlapped = 3;       ///< a forward and a fused backward pass as one
  double activations = 1;      ///< memory held from F until B
  double weight_inputs = 0.5;  ///< the part of it that is held on until W
};

/// The pipeline that is to be scheduled.
struct Pipeline {
  Placement placement;
  int microbatches = 1;
  int group = 0;  ///< of interleaved schedules: microbatches of a chunk in a row; 0: one per position
  std::vector<StageCost> costs = {};  ///< by stage; empty: all as StageCost has them
  double latency = 0;                 ///< from the end of a pass until the neighbour stage has its result
  double memory_limit = 0;            ///< per position, for searched schedules; 0: what the schedule's name says

  StageCost cost(int stage) const { return costs.empty() ? StageCost{} : costs[static_cast<std::size_t>(stage)]; }
};

struct ScheduleDef {
  std::string_view name;
  std::string_view summary;  ///< of one line
  int chunks = 1;            ///< stages per position; of `any_chunks`: by default
  bool any_chunks = false;
  Placement::Kind placement = Placement::Kind::block;
  /// Copies of the model that run towards each other; stages s and s + p are then the same. 2 is for simulation alone.
  int copies = 1;
  /// Throws std::invalid_argument where the pipeline has no such schedule.
  std::vector<Order> (*orders)(const Pipeline& pipeline) = nullptr;
  /// The most passes of stages at `position` whose forward has begun and whose backward is not over; null where memory
  /// decides.
  int (*most_alive)(const Pipeline& pipeline, int position) = nullptr;
  /// Of those where memory decides: by position, how many any of their orders has alive before its first backward.
  std::vector<int> (*warm_up)(const Pipeline& pipeline) = nullptr;
};

/// Whether the costs of stages decide a schedule's orders.
inline bool is_searched(const ScheduleDef& schedule) { return schedule.most_alive == nullptr; }

std::span<const ScheduleDef> all_schedules();
/// Those of one copy of the model, in the same order.
std::vector<const ScheduleDef*> trainable_schedules();
/// Throws std::invalid_argument that lists the names.
const ScheduleDef& find_schedule(std::string_view name);

/// Throws std::invalid_argument unless every pass runs exactly once, at its position, F before B before W, per stage
/// and phase in order of microbatches (so that transfers of a channel match and gradients are summed alike in every
/// schedule), and nobody waits for ever, with unbounded channels. `copies` as in ScheduleDef.
void validate(std::span<const Order> orders, const Placement& placement, int microbatches, int copies = 1);

/// By position: passes that are alive at one time in any order of the schedule for this pipeline. Known without an
/// order, and mostly what the order has at most; 1 where there are few microbatches for several chunks. Throws
/// std::invalid_argument where a searched schedule finds no memory for a microbatch.
std::vector<int> least_alive(const ScheduleDef& schedule, const Pipeline& pipeline);

/// The most forward passes in `order` that have begun and whose backward pass is not over.
int most_alive(const Order& order);
/// The largest sum of memory that the passes begun by then hold.
double peak_memory(const Order& order, const Pipeline& pipeline);

}  // namespace dml
