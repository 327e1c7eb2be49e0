// What the stages of a divided model take, hold and move for one microbatch.
#pragma once

#include <span>
#include <vector>

#include "parallel/build_tasks.h"
#include "parallel/tensor/split.h"

namespace dml {

double bytes_of(const Value& value);

/// Of one rank of the tensor axis, all of whose ranks run alike. Passes are in seconds from begin to end, waits for
/// tensor collectives included.
struct StagePrice {
  double forward = 0;
  double input_grad = 0;
  double weight_grad = 0;
  double backward = 0;  ///< both at once, in the graph's order: the collectives of one may hide behind the other
  double compute = 0;   ///< seconds inside the operations of all passes
  double held = 0;      ///< bytes from F until B
  double held_for_weights = 0;  ///< bytes on until W, where W is apart
  double working = 0;           ///< bytes that a pass needs beside them
  double working_apart = 0;     ///< the same where weight gradients are passes of their own
  double fed = 0;               ///< bytes of inputs and labels
  double tensor_bytes = 0;      ///< of the tensor collectives
  double down_bytes = 0;        ///< sent to the stage behind it
  double up_bytes = 0;          ///< sent to the stage before it
  double largest_message = 0;   ///< bytes of the largest value that is sent
};

/// All figures of `a` and `b`, `part` of the way from a to b.
StagePrice between(const StagePrice& a, const StagePrice& b, double part);

/// A split graph with the seconds of each node.
struct PricedGraph {
  SplitGraph split;
  std::vector<double> seconds;  ///< by node: alone, of collectives from the last rank's arrival
  double dispatch_seconds = 0;  ///< the least for each task, over a pass
};

/// By stage. `map` is of split graphs of the same nodes.
std::vector<StagePrice> prices_of_stages(const PricedGraph& graph, const StageMap& map, int num_stages);

}  // namespace dml
