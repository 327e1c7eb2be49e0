// Links between some ranks that differ from those of their level: a pair with a bridge, a host with a slow adapter.
#pragma once

#include <span>

#include "parallel/cost/collective_cost.h"

namespace dml {

/// Consecutive world ranks, both ends included.
struct RankRange {
  int first = 0, last = 0;
  bool holds(int rank) const { return first <= rank && rank <= last; }
};

/// Joins every rank of one range with every one of the other, in both directions.
struct LinkOverride {
  RankRange ranks, others;
  Link link;
};

/// The last of the overrides that joins two ranks, or null.
const Link* find_override(std::span<const LinkOverride> overrides, int rank, int other);

/// The members of a group at one level of links: blocks of up to `units` units that exchange with each other, each
/// unit of `inside` consecutive members. The k-th members of the units of a block have a ring or tree of their own.
struct GroupLevel {
  CommGroup group;
  int inside = 1;
  int units = 2;
};

/// The slowest latency and bandwidth of the links that an algorithm other than `automatic` uses on a level where
/// `usual` joins what no override does. A ring uses the links of neighbours and between the ends, a tree those of two
/// complementary binary trees, `direct` all. O(links · overrides).
Link slowest_link(std::span<const LinkOverride> overrides, const Link& usual, const GroupLevel& level,
                  CollectiveAlgorithm algorithm);

/// True if any two members of a group are joined by an override.
bool joins_any(std::span<const LinkOverride> overrides, const CommGroup& group);

}  // namespace dml
