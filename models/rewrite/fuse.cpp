#include "models/rewrite/fuse.h"

#include "models/op.h"
#include "models/rewrite/match.h"
#include "models/rewrite/passes.h"

namespace dml {
namespace {

/// Whether `perm` swaps the last two dims and leaves the others.
bool swaps_last_two(std::span<const std::int64_t> perm) {
  const auto rank = static_cast<std::int64_t>(perm.size());
  if (rank < 2) return false;
  for (std::int64_t dim = 0; dim < rank - 2; ++dim) {
    if (perm[static_cast<std::size_t>(dim)] != dim) return false;
  }
  return perm[perm.size() - 2] == rank - 1 && perm[perm.size() - 1] == rank - 2;
}

void toggle(Attributes& attrs, const std::string& flag) {
  attrs.set(flag, std::int64_t{attrs.integer(flag) != 0 ? 0 : 1});
}

}  // namespace

void fold_transposes(Graph& graph) {
  const Matcher matcher(graph);
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    if (graph.node(id).op->name != "MatMul") continue;
    for (const std::size_t index : {std::size_t{0}, std::size_t{1}}) {
      const Node* transpose = matcher.producer(graph.node(id).inputs[index], "Transpose");
      if (transpose == nullptr || !swaps_last_two(transpose->attrs.integers("perm"))) continue;
      toggle(graph.node(id).attrs, index == 0 ? "trans_a" : "trans_b");
      graph.node(id).inputs[index] = transpose->inputs[0];
    }
  }
}

void remove_unused(Graph& graph) { graph.remove_dead(results_of(graph)); }

void fuse(Graph& graph) {
  for (const auto pass : {fold_constants, fuse_gelu, fuse_attention, fold_transposes}) {
    remove_unused(graph);
    pass(graph);
  }
  remove_unused(graph);
}

}  // namespace dml
