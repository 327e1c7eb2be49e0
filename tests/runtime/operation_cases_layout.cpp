// Rows of operations that move, select and sum elements, of shards, and of losses and dropout.
#include "tests/runtime/operation_cases.h"

namespace dml::test {
namespace {

OperationCases reduction_cases() {
  OperationCases cases;
  const Tolerance sums{2e-5, 1e-5};  // up to 10,000 terms
  for (const std::string_view operation : {"ReduceSum", "ReduceMean"}) {
    for (const Attributes& attrs :
         {with({{"axes", Ints{0}}, {"keepdims", 0}}), with({{"axes", Ints{-1}}, {"keepdims", 1}}),
          with({{"axes", Ints{0, 2}}, {"keepdims", 0}}), with({{"axes", Ints{1}}, {"keepdims", 1}}),
          with({{"axes", Ints{0, 1, 2}}, {"keepdims", 0}}), with({{"axes", Ints{}}, {"keepdims", 1}}), with({})}) {
      cases.push_back({operation, {real({5, 7, 19})}, attrs, sums});
    }
    cases.push_back({operation, {real({8, 3, 6, 5})}, with({{"axes", Ints{0, 2, 3}}, {"keepdims", 0}}), sums});
    cases.push_back({operation, {real({300, 33})}, with({{"axes", Ints{0}}, {"keepdims", 0}}), sums});
    cases.push_back({operation, {real({10001})}, with({{"axes", Ints{0}}, {"keepdims", 1}}), sums});
    cases.push_back({operation, {real({})}, with({{"keepdims", 0}})});
    // Of sizes that kernels cut into parts: long rows, few and many, and long columns.
    cases.push_back({operation, {real({3, 40000})}, with({{"axes", Ints{1}}, {"keepdims", 0}}), {5e-5, 1e-5}});
    cases.push_back({operation, {real({520, 1028})}, with({{"axes", Ints{1}}, {"keepdims", 0}}), sums});
    cases.push_back({operation, {real({3, 700, 9})}, with({{"axes", Ints{1}}, {"keepdims", 0}}), sums});
  }
  const auto to = [](Ints shape) { return with({{"shape", std::move(shape)}}); };
  cases.push_back({"SumTo", {real({4, 33})}, to({33}), sums});
  cases.push_back({"SumTo", {real({4, 33})}, to({4, 1}), sums});
  cases.push_back({"SumTo", {real({2, 3, 4, 5})}, to({3, 1, 5}), sums});
  cases.push_back({"SumTo", {real({300, 17})}, to({}), sums});
  cases.push_back({"SumTo", {real({300, 17})}, to({1, 17}), sums});
  cases.push_back({"SumTo", {real({3, 4})}, to({3, 4}), kExact});
  return cases;
}

OperationCases movement_cases() {
  const auto to = [](Ints shape) { return with({{"shape", std::move(shape)}}); };
  const auto by = [](Ints perm) { return with({{"perm", std::move(perm)}}); };
  return {
      {"Reshape", {real({4, 6})}, to({2, 12}), kExact},
      {"Reshape", {real({1})}, to({}), kExact},
      {"Reshape", {whole({3, 5}, 0, 9)}, to({15}), kExact},
      {"Transpose", {real({5, 7})}, by({1, 0}), kExact},
      {"Transpose", {real({70, 65})}, by({1, 0}), kExact},
      {"Transpose", {real({2, 3, 4, 5})}, by({0, 2, 1, 3}), kExact},
      {"Transpose", {real({2, 3, 4, 5})}, by({3, 1, 2, 0}), kExact},
      {"Transpose", {real({3, 1, 4})}, by({2, 0, 1}), kExact},
      {"Transpose", {whole({3, 4}, -9, 9)}, by({1, 0}), kExact},
      {"Transpose", {flags({3, 4, 2})}, by({2, 1, 0}), kExact},
      {"Transpose", {real({0, 4})}, by({1, 0}), kExact},
      {"Expand", {real({3, 1})}, to({3, 5}), kExact},
      {"Expand", {real({})}, to({2, 3}), kExact},
      {"Expand", {real({1, 4, 1})}, to({2, 4, 3}), kExact},
      {"Expand", {whole({4}, 0, 9)}, to({2, 3, 4}), kExact},
      {"Expand", {flags({1})}, to({7}), kExact},
      {"Expand", {real({1, 3})}, to({0, 3}), kExact},
  };
}

OperationCases slicing_cases() {
  const auto range = [](int axis, int start, int end, int step) {
    return with({{"axis", axis}, {"start", start}, {"end", end}, {"step", step}});
  };
  const auto grad = [](int axis, int start, int step, Ints shape) {
    return with({{"axis", axis}, {"start", start}, {"step", step}, {"shape", std::move(shape)}});
  };
  return {
      {"Slice", {real({5, 9})}, range(1, 2, 7, 1), kExact},
      {"Slice", {real({5, 9})}, range(0, 1, 5, 2), kExact},
      {"Slice", {real({5, 9, 2})}, range(1, 8, -1, -3), kExact},
      {"Slice", {real({5, 9})}, range(-1, 4, 0, -1), kExact},
      {"Slice", {whole({6}, 0, 9)}, range(0, 0, 6, 4), kExact},
      {"Slice", {real({4, 3})}, range(0, 2, 2, 1), kExact},
      {"SliceGrad", {real({5, 5})}, grad(1, 2, 1, {5, 9}), kExact},
      {"SliceGrad", {real({2, 9})}, grad(0, 1, 2, {5, 9}), kExact},
      {"SliceGrad", {real({5, 3, 2})}, grad(1, 8, -3, {5, 9, 2}), kExact},
      {"SliceGrad", {real({0, 3})}, grad(0, 2, 1, {4, 3}), kExact},
      {"Concat", {real({2, 3}), real({2, 5}), real({2, 1})}, with({{"axis", 1}}), kExact},
      {"Concat", {real({2, 3}), real({4, 3})}, with({{"axis", 0}}), kExact},
      {"Concat", {real({2, 3, 4})}, with({{"axis", -1}}), kExact},
      {"Concat", {whole({2, 0}, 0, 9), whole({2, 3}, 0, 9)}, with({{"axis", 1}}), kExact},
      {"Split", {real({2, 9})}, with({{"axis", 1}, {"sizes", Ints{3, 5, 1}}}), kExact},
      {"Split", {real({6, 2, 3})}, with({{"axis", 0}, {"sizes", Ints{4, 2}}}), kExact},
      {"Split", {real({4})}, with({{"axis", -1}, {"sizes", Ints{4}}}), kExact},
      {"Split", {whole({2, 3}, 0, 9)}, with({{"axis", 1}, {"sizes", Ints{0, 3}}}), kExact},
  };
}

OperationCases gather_cases() {
  const auto along = [](int axis) { return with({{"axis", axis}}); };
  const auto part = [](int axis, int offset) { return with({{"axis", axis}, {"offset", offset}, {"whole", 15}}); };
  const auto grad = [](Attributes attrs, Ints shape) { return attrs.set("shape", std::move(shape)); };
  return {
      {"Gather", {real({9, 17}), whole({2, 5}, 0, 8)}, along(0), kExact},
      {"Gather", {real({9, 4}), whole({7}, -9, 8)}, along(0), kExact},
      {"Gather", {real({3, 6, 5}), whole({4}, 0, 5)}, along(1), kExact},
      {"Gather", {real({3, 6}), whole({}, 0, 5)}, along(-1), kExact},
      {"Gather", {whole({6}, -9, 9), whole({2, 2}, 0, 5)}, along(0), kExact},
      {"Gather", {real({5, 8}), whole({3, 7}, 0, 14)}, part(0, 5), kExact},
      {"Gather", {real({5, 8}), whole({6}, -15, 9)}, part(0, 0), kExact},
      {"GatherGrad", {real({2, 5, 17}), whole({2, 5}, 0, 8)}, grad(along(0), {9, 17})},
      {"GatherGrad", {real({40, 4}), whole({40}, -3, 2)}, grad(along(0), {3, 4})},
      {"GatherGrad", {real({3, 4, 5}), whole({4}, 0, 5)}, grad(along(1), {3, 6, 5})},
      {"GatherGrad", {real({3, 7, 8}), whole({3, 7}, -15, 14)}, grad(part(0, 5), {5, 8})},
      {"GatherGrad", {real({300, 33}), whole({300}, 0, 4)}, grad(along(0), {5, 33}), {1e-5, 1e-5}},
  };
}

OperationCases shard_cases() {
  const auto slice = [](int dim, int outer, int units, int inner, int begin, int end) {
    return with({{"dim", dim}, {"outer", outer}, {"units", units}, {"inner", inner}, {"begin", begin}, {"end", end}});
  };
  const auto merge = [](Ints shape, int dim, int outer, int units, int inner, int parts) {
    return with({{"shape", std::move(shape)},
                 {"dim", dim},
                 {"outer", outer},
                 {"units", units},
                 {"inner", inner},
                 {"parts", parts}});
  };
  return {
      {"ShardSlice", {real({4, 10})}, slice(1, 1, 10, 1, 3, 7), kExact},
      {"ShardSlice", {real({2, 24})}, slice(1, 3, 4, 2, 1, 3), kExact},
      {"ShardSlice", {real({18, 5})}, slice(0, 3, 3, 2, 2, 3), kExact},
      {"ShardSlice", {real({4, 6})}, slice(1, 1, 3, 2, 1, 1), kExact},
      {"ShardMerge", {real({40})}, merge({4, 10}, 1, 1, 10, 1, 3), kExact},
      {"ShardMerge", {real({2 * 24 * 3})}, merge({2, 24, 3}, 1, 3, 4, 2, 3), kExact},
      {"ShardMerge", {real({90})}, merge({18, 5}, 0, 3, 3, 2, 2), kExact},
      {"ShardMerge", {real({10})}, merge({2, 5}, 1, 1, 5, 1, 8), kExact},
  };
}

OperationCases dropout_cases() {
  OperationCases cases;
  for (const std::string_view operation : {"Dropout", "DropoutGrad"}) {
    const auto drop = [](double ratio, int site) { return with({{"ratio", ratio}, {"site", site}}); };
    cases.push_back({operation, {real({3, 7, 5})}, drop(0.5, 0)});
    cases.push_back({operation, {real({1025})}, drop(0.1, 3)});
    cases.push_back({operation, {real({2, 9000})}, drop(0.25, 1)});
    cases.push_back({operation, {real({4, 6})}, drop(0, 2)});
    cases.push_back({operation, {real({6, 5})}, drop(0.5, 2).set("sample_rows", std::int64_t{3})});
    cases.push_back({operation,
                     {real({4, 6})},
                     drop(0.5, 2).set("sample_rows", std::int64_t{2}).set("shard", Ints{1, 3, 4, 1, 1, 3})});
    cases.push_back({operation, {real({3, 5, 12})}, drop(0.5, 4).set("shard", Ints{2, 3, 4, 2, 1, 3})});
    cases.push_back({operation, {real({3, 4, 5})}, drop(0.5, 4).set("shard", Ints{1, 1, 9, 2, 7, 9})});
    // A block that begins between two counters, at a whole pack of this part.
    cases.push_back({operation, {real({2, 12})}, drop(0.5, 4).set("shard", Ints{1, 2, 8, 1, 2, 8})});
  }
  return cases;
}

}  // namespace

OperationCases layout_cases() {
  OperationCases cases;
  for (const auto family : {reduction_cases, movement_cases, slicing_cases, gather_cases, shard_cases, dropout_cases}) {
    for (OperationCase& row : family()) cases.push_back(std::move(row));
  }
  return cases;
}

OperationCases loss_cases() {
  OperationCases cases;
  const Tolerance sums{1e-5, 1e-5};
  for (const auto& [rows, classes] : {std::pair{Shape{7}, 5},
                                      {Shape{3, 11}, 33},
                                      {Shape{2, 2, 2}, 1},
                                      {Shape{300}, 17},
                                      {Shape{}, 6},
                                      {Shape{5}, 2048},
                                      {Shape{3}, 1501}}) {
    Shape logits = rows;
    logits.push_back(classes);
    cases.push_back({"CrossEntropy", {real(logits, -8, 8), labels(rows, classes)}, {}, sums});
    cases.push_back({"CrossEntropyGrad",
                     {real(logits, -8, 8), labels(rows, classes), forward(1)},
                     {},
                     sums,
                     "CrossEntropy",
                     {0, 1}});
    const auto sliced = with({{"offset", classes}, {"whole", 3 * classes}});
    cases.push_back({"CrossEntropyStats", {real(logits, -8, 8), labels(rows, 3 * classes)}, sliced, sums});
    cases.push_back({"CrossEntropyGrad", {real(logits), labels(rows, 3 * classes), real(rows, 3, 5)}, sliced, sums});
    Shape stats{3};
    for (const std::int64_t extent : rows) stats.push_back(extent);
    stats.push_back(3);
    cases.push_back({"CrossEntropyMerge", {real(stats, 0.5, 2), labels(rows, classes)}, {}, sums});
  }
  for (const Shape& shape : {Shape{5}, Shape{3, 17}, Shape{9001}}) {
    cases.push_back({"MeanSquaredError", {real(shape), real(shape)}, {}, sums});
    cases.push_back({"MeanSquaredErrorGrad", {real(shape), real(shape)}, {}, sums});
  }
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}}) {
    cases.push_back({"WeightedLoss", {real(shape)}});
    cases.push_back({"WeightedLossGrad", {}});
  }
  return cases;
}

}  // namespace dml::test
