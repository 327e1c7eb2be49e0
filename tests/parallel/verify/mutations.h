// Faults that a task graph can have, planted on purpose.
#pragma once

#include <random>
#include <span>
#include <string>

#include "tests/parallel/verify/partitions.h"

namespace dml::test {

using Random = std::mt19937;

/// One kind of fault. `plant` changes the world and says what it did; empty, and nothing changed, where the world has
/// no place for it.
struct Mutation {
  const char* name;
  bool in_graph;  ///< changes divided graphs, else tasks and flat layouts alone
  std::string (*plant)(World& world, Random& random);
};

std::span<const Mutation> all_mutations();

}  // namespace dml::test
