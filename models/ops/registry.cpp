// The list of all operations, in the order of models/ops/README.md.
#include <unordered_map>

#include "models/ops/families.h"

namespace dml {
namespace {

std::vector<OpDef> collect() {
  std::vector<OpDef> all;
  for (const auto family : {matmul_ops(), arithmetic_ops(), comparison_ops(), unary_ops(), softmax_ops(),
                            normalization_ops(), convolution_ops(), pooling_ops(), reduction_ops(), layout_ops(),
                            slicing_ops(), gather_ops(), dropout_ops(), attention_ops(), loss_ops(), shard_ops()}) {
    all.insert(all.end(), family.begin(), family.end());
  }
  return all;
}

std::unordered_map<std::string_view, const OpDef*> index_of(std::span<const OpDef> ops) {
  std::unordered_map<std::string_view, const OpDef*> index;
  for (const OpDef& op : ops) index.emplace(op.name, &op);
  return index;
}

}  // namespace

std::span<const OpDef> all_ops() {
  static const std::vector<OpDef> ops = collect();
  return ops;
}

const OpDef* find_op(std::string_view name) {
  static const std::unordered_map<std::string_view, const OpDef*> index = index_of(all_ops());
  const auto found = index.find(name);
  return found == index.end() ? nullptr : found->second;
}

}  // namespace dml
