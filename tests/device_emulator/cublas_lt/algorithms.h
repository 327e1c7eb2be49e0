// The heuristic: several algorithms that differ in alignment, workspace and order of sums.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/device_emulator/cublas_lt/problem.h"

namespace dml::emulator::blas {

/// Parts into which the depth is cut; each part's sums take workspace.
int splits_of(const Algorithm& algorithm);

/// Those that hold for the problem under a preference, in an order that depends on the emulator's seed.
std::vector<Algorithm> find_algorithms(const Problem& problem, const Preference& preference);

}  // namespace dml::emulator::blas
