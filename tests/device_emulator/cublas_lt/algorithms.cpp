#include "tests/device_emulator/cublas_lt/algorithms.h"

#include <algorithm>
#include <string>

#include "tests/device_emulator/emulator.h"

namespace dml::emulator::blas {

namespace {

constexpr int kSplits = 2;

struct Kind {
  std::int32_t id;
  bool by_vectors;  ///< operands must be aligned to 16 bytes
  bool splits_depth;
};
constexpr Kind kKinds[] = {{0, false, false}, {1, true, false}, {2, true, true}, {3, false, true}};

bool is_aligned(const Problem& problem, const Preference& preference) {
  const Layout* const layouts[] = {&problem.a, &problem.b, &problem.c, &problem.d};
  for (int i = 0; i < 4; ++i) {
    if (alignment_of(*layouts[i], preference.min_alignment[i]) < 16) return false;
  }
  // Known already when the heuristic is asked: what an epilogue points to.
  const auto bits = reinterpret_cast<std::uintptr_t>(problem.operation.bias) |
                    reinterpret_cast<std::uintptr_t>(problem.operation.aux);
  return bits % 16 == 0;
}

bool allows(const Problem& problem, const Preference& preference) {
  const std::uint64_t unit =
      problem.a.type == CUDA_R_32F ? CUBLASLT_NUMERICAL_IMPL_FLAGS_FMA : CUBLASLT_NUMERICAL_IMPL_FLAGS_HMMA;
  return (preference.implementations & unit) != 0;
}

}  // namespace

int splits_of(const Algorithm& algorithm) { return kKinds[algorithm.id].splits_depth ? kSplits : 1; }

std::vector<Algorithm> find_algorithms(const Problem& problem, const Preference& preference) {
  std::vector<Algorithm> found;
  if (!allows(problem, preference)) return found;
  const bool aligned = is_aligned(problem, preference);
  const std::uint64_t key = problem_key(problem);
  for (const Kind& kind : kKinds) {
    const std::uint64_t sums = static_cast<std::uint64_t>(problem.rows() * problem.cols()) * sizeof(float);
    const std::uint64_t workspace = kind.splits_depth ? kSplits * sums : 0;
    if (kind.by_vectors && !aligned) continue;
    if (kind.splits_depth && (problem.depth() < kSplits || preference.reduction_schemes == 0)) continue;
    if (workspace > preference.max_workspace_bytes) continue;
    const auto element = static_cast<std::uint32_t>(element_bytes(problem.a.type));
    found.push_back({kind.id, kind.by_vectors ? 16 : element, workspace, key, Algorithm::kSeal});
  }
  if (!found.empty()) {
    const auto first = static_cast<std::ptrdiff_t>(draw("cublasLt heuristic " + std::to_string(key)) % found.size());
    std::rotate(found.begin(), found.begin() + first, found.end());
  }
  return found;
}

}  // namespace dml::emulator::blas
