// Known shapes of networks as levels of links.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "parallel/cost/hardware.h"

namespace dml {

/// - nodes: devices in nodes, nodes in a network.
/// - fat_tree: switches below switches (Leiserson 1985); the links up from a switch may have less bandwidth together
///   than those down from it.
/// - full_mesh: a link for every pair of ranks.
enum class NetworkShape : std::uint8_t { nodes, fat_tree, full_mesh };
std::string_view name_of(NetworkShape shape);
inline constexpr NetworkShape kNetworkShapes[] = {NetworkShape::nodes, NetworkShape::fat_tree, NetworkShape::full_mesh};

struct Network {
  NetworkShape shape = NetworkShape::nodes;
  /// Of a node, or below a switch of each tier but the last, which has all.
  std::vector<int> ranks = {};
  std::vector<Link> links = {};  ///< of a rank, by tier from the closest: one more than `ranks`
  double oversubscription = 1;   ///< of a fat tree: bandwidth down from a switch over that up from it, per tier
};

/// Throws std::invalid_argument, with the values, for numbers of tiers that the shape does not have.
std::vector<LinkLevel> levels_of(const Network& network);

}  // namespace dml
