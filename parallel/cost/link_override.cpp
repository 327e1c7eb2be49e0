#include "parallel/cost/link_override.h"

#include <algorithm>

namespace dml {
namespace {

bool joins(const LinkOverride& own, int rank, int other) {
  return (own.ranks.holds(rank) && own.others.holds(other)) || (own.ranks.holds(other) && own.others.holds(rank));
}

/// Members of a group that are in a range: [first, last] of their places, empty where last < first.
RankRange places_in(const RankRange& range, const CommGroup& group) {
  const auto first = [&](int rank) { return rank <= group.first ? 0 : (rank - group.first - 1) / group.stride + 1; };
  return {first(range.first), std::min(first(range.last + 1), group.ranks) - 1};
}

bool is_empty(const RankRange& range) { return range.last < range.first; }

/// Calls `use` with the pairs of `units` units that an algorithm joins.
template <typename Use>
void for_each_link(CollectiveAlgorithm algorithm, int units, Use use) {
  for (int unit = 1; unit < units; ++unit) {
    if (algorithm == CollectiveAlgorithm::direct) {
      for (int other = 0; other < unit; ++other) use(other, unit);
    } else if (algorithm == CollectiveAlgorithm::tree) {
      use((unit - 1) / 2, unit);
      use(((unit - 1) / 2 + 1) % units, (unit + 1) % units);  // the second tree: the first one, a place further
    } else {
      use(unit - 1, unit);
    }
  }
  if (algorithm == CollectiveAlgorithm::ring && units > 2) use(units - 1, 0);
}

class SlowestLink {
 public:
  SlowestLink(std::span<const LinkOverride> overrides, const Link& usual) : overrides_(overrides), usual_(usual) {}

  void use(int rank, int other) {
    const Link* own = find_override(overrides_, rank, other);
    const Link& link = own == nullptr ? usual_ : *own;
    slowest_.latency = any_ ? std::max(slowest_.latency, link.latency) : link.latency;
    slowest_.bytes_per_s = any_ ? std::min(slowest_.bytes_per_s, link.bytes_per_s) : link.bytes_per_s;
    any_ = true;
  }

  Link get() const { return any_ ? slowest_ : usual_; }

 private:
  std::span<const LinkOverride> overrides_;
  const Link& usual_;
  Link slowest_;
  bool any_ = false;
};

}  // namespace

const Link* find_override(std::span<const LinkOverride> overrides, int rank, int other) {
  const auto found = std::find_if(overrides.rbegin(), overrides.rend(),
                                  [&](const LinkOverride& own) { return joins(own, rank, other); });
  return found == overrides.rend() ? nullptr : &found->link;
}

bool joins_any(std::span<const LinkOverride> overrides, const CommGroup& group) {
  return std::ranges::any_of(overrides, [&](const LinkOverride& own) {
    const RankRange ranks = places_in(own.ranks, group);
    const RankRange others = places_in(own.others, group);
    const bool is_one = ranks.first == ranks.last && others.first == others.last && ranks.first == others.first;
    return !is_empty(ranks) && !is_empty(others) && !is_one;
  });
}

Link slowest_link(std::span<const LinkOverride> overrides, const Link& usual, const GroupLevel& level,
                  CollectiveAlgorithm algorithm) {
  const CommGroup& group = level.group;
  if (!joins_any(overrides, group)) return usual;
  SlowestLink slowest(overrides, usual);
  for (int block = 0; block < group.ranks; block += level.inside * level.units) {
    for (int within = 0; within < level.inside && block + within < group.ranks; ++within) {
      const int units = std::min(level.units, (group.ranks - block - within - 1) / level.inside + 1);
      const auto rank_of = [&](int unit) { return group.member(block + unit * level.inside + within); };
      for_each_link(algorithm, units, [&](int unit, int other) { slowest.use(rank_of(unit), rank_of(other)); });
    }
  }
  return slowest.get();
}

}  // namespace dml
