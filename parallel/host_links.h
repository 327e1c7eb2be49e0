// Which axes of the mesh talk between hosts. Ranks of one host share memory; between hosts there is a network, which is
// slower by a factor of ten or more, so the axis that talks most should stay within a host.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "parallel/mesh.h"

namespace dml {

/// How the groups of one axis lie on the hosts.
struct AxisLinks {
  Axis axis = Axis::data;
  int groups = 0;
  int crossing = 0;  ///< of the groups: those with ranks on several hosts
};

/// Of the axes with more than one rank, in the order d, p, t. `host_of_rank` has a number for each rank of the mesh.
std::vector<AxisLinks> axis_links(const Mesh& mesh, std::span<const int> host_of_rank);

/// The order of axes (as in --order) under which fewer groups cross hosts: of t, which talks in every layer; where
/// these are the same, of p, which talks in every microbatch; then of d, which talks once a step. None where the mesh's
/// own order is as good as any.
std::optional<std::string> better_order(const Mesh& mesh, std::span<const int> host_of_rank);

}  // namespace dml
