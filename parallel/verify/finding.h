// What a verification finds: values, never exceptions, so that one pass reports every fault.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "parallel/task_graph.h"

namespace dml {

/// One way in which tasks do not compute the Graph.
struct Finding {
  std::string what;        ///< "reads h.2 before it is made"
  int rank = -1;           ///< world rank; -1: of no rank alone
  std::int32_t task = -1;  ///< index among the tasks of that rank; -1: of no task alone
  std::string where = {};  ///< the task's id as text, or the node's or value's name
  /// One line: "rank 3, B.m1.s2.d0.t0.n37 (task 411): reads h.2 before it is made".
  std::string to_string() const;
};

Finding finding_at(const RankTasks& rank, std::size_t task, std::string what);

}  // namespace dml
