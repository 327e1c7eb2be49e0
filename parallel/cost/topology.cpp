#include "parallel/cost/topology.h"

#include <fmt/format.h>

#include <stdexcept>

namespace dml {
namespace {

void check(const Network& network) {
  const std::size_t tiers = network.ranks.size() + 1;
  if (network.links.size() != tiers) {
    throw std::invalid_argument(
        fmt::format("[topology] {} tiers have links, for {} numbers of ranks there are {} tiers: the last has all",
                    network.links.size(), network.ranks.size(), tiers));
  }
  const bool is_tree = network.shape == NetworkShape::fat_tree;
  const std::size_t wanted = network.shape == NetworkShape::nodes ? 2 : 1;
  if (!is_tree && tiers != wanted)
    throw std::invalid_argument(
        fmt::format("[topology] {} has {} tiers, not {}", name_of(network.shape), wanted, tiers));
  if (network.oversubscription < 1 || (!is_tree && network.oversubscription != 1))
    throw std::invalid_argument(fmt::format("[topology] an oversubscription of {} in {}: 1 or more, of a fat-tree",
                                            network.oversubscription, name_of(network.shape)));
}

}  // namespace

std::string_view name_of(NetworkShape shape) {
  switch (shape) {
    case NetworkShape::nodes: return "nodes";
    case NetworkShape::fat_tree: return "fat-tree";
    case NetworkShape::full_mesh: return "full-mesh";
  }
  return "";
}

std::vector<LinkLevel> levels_of(const Network& network) {
  check(network);
  std::vector<LinkLevel> levels;
  double share = 1;
  for (std::size_t tier = 0; tier < network.links.size(); ++tier) {
    LinkLevel level{.ranks = tier < network.ranks.size() ? network.ranks[tier] : kAllRanks,
                    .link = network.links[tier],
                    .joins_pairs = network.shape == NetworkShape::full_mesh};
    level.link.bytes_per_s *= share;
    share /= network.oversubscription;
    levels.push_back(level);
  }
  return levels;
}

}  // namespace dml
