// Which ranks of the world share a host.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace dml {

/// HostTable are numbered in the order of their first ranks.
struct HostTable {
  std::vector<std::string> names;
  std::vector<int> of_rank;  ///< by world rank

  int size() const { return static_cast<int>(names.size()); }
  /// The lowest rank of a host.
  int first_rank(int host) const;
  /// "host n1 (ranks 2, 3)"; long lists are cut.
  std::string describe(int host) const;
};

/// From the name of each rank's host. Ranks whose hosts have one name share it.
HostTable make_hosts(std::span<const std::string> name_of_rank);

/// Of this process.
std::string host_name();

/// "rank 5" or "ranks 1, 3, 5", by their numbers in the world; long lists are cut.
std::string name_ranks(std::span<const int> ranks);

}  // namespace dml
