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
  std::string (*plant)(World& world, Random& random);
};

/// Of tasks and flat buffers.
std::span<const Mutation> task_mutations();
/// Of divided graphs.
std::span<const Mutation> graph_mutations();

}  // namespace dml::test
