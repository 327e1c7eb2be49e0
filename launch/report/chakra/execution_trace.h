// The tasks of each rank as MLCommons Chakra execution traces, which simulators such as ASTRA-sim read: a file per rank
// of length-delimited messages, and the groups of the collectives as JSON.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "parallel/partition.h"

namespace dml {

/// Numbers the groups of ranks that collectives run over, in the order in which traces come to them.
class CommGroups {
 public:
  int number_of(const std::vector<int>& ranks);
  /// {"0": [0, 1, 2], ...}: what a node's pg_name refers to.
  std::string to_json() const;

 private:
  std::map<std::vector<int>, int> numbers_;
};

/// The rank's file: GlobalMetadata, then a Node for each task in the order of its queues. Node ids count from 0.
/// Attributes are num_ops (FLOP) and tensor_size (bytes) of compute; comm_type, comm_size (bytes) and pg_name of
/// collectives; comm_src, comm_dst, comm_tag and comm_size of transfers, the tag being equal on both sides; task, the
/// TaskId, of all. data_deps are the task's own, ctrl_deps the task before it in its queue.
std::string execution_trace(const Partition& partition, CommGroups& groups);

}  // namespace dml
