#include "parallel/host_links.h"

#include <algorithm>
#include <array>

namespace dml {

namespace {

AxisLinks links_of(const Mesh& mesh, Axis axis, std::span<const int> host_of_rank) {
  const auto host_of = [&](int rank) { return host_of_rank[static_cast<std::size_t>(rank)]; };
  AxisLinks links{axis};
  for (int rank = 0; rank < mesh.world_size(); ++rank) {
    const std::vector<int> group = mesh.group(rank, axis);
    if (group.front() != rank) continue;
    ++links.groups;
    if (std::ranges::any_of(group, [&](int other) { return host_of(other) != host_of(rank); })) ++links.crossing;
  }
  return links;
}

/// Groups that cross, of the axis that talks most first.
std::array<int, 3> crossings(const Mesh& mesh, std::span<const int> host_of_rank) {
  return {links_of(mesh, Axis::tensor, host_of_rank).crossing, links_of(mesh, Axis::pipeline, host_of_rank).crossing,
          links_of(mesh, Axis::data, host_of_rank).crossing};
}

}  // namespace

std::vector<AxisLinks> axis_links(const Mesh& mesh, std::span<const int> host_of_rank) {
  std::vector<AxisLinks> all;
  for (const Axis axis : {Axis::data, Axis::pipeline, Axis::tensor}) {
    if (mesh.extent(axis) > 1) all.push_back(links_of(mesh, axis, host_of_rank));
  }
  return all;
}

std::optional<std::string> better_order(const Mesh& mesh, std::span<const int> host_of_rank) {
  std::optional<std::string> best;
  std::array<int, 3> least = crossings(mesh, host_of_rank);
  for (const char* order : {"dpt", "pdt", "dtp", "tdp", "ptd", "tpd"}) {
    const std::array<int, 3> crossing = crossings(Mesh(mesh.d(), mesh.p(), mesh.t(), order), host_of_rank);
    if (crossing >= least) continue;
    least = crossing;
    best = order;
  }
  return best;
}

}  // namespace dml
