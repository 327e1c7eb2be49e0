// Families whose time is mostly reading and writing. Rows of 128 elements, or images of 16 channels of 8 x 8.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "runtime/calibrate/kernel_families.h"
#include "runtime/calibrate/operands.h"

namespace dml {
namespace {

constexpr std::int64_t kRowElems = 128;
constexpr std::int64_t kImageChannels = 16;
constexpr std::int64_t kImageSide = 8;
constexpr std::int64_t kImageElems = kImageChannels * kImageSide * kImageSide;
constexpr double kElemBytes = 4;
constexpr double kSumUnused = 0.5;

const std::vector<double> kByteSizes = {4096, 16384, 65536, 262144, 1 << 20, 1 << 22, 1 << 24, 1 << 26};
/// Pools are slow; beyond the last their time is in proportion.
const std::vector<double> kPoolByteSizes = {4096, 16384, 65536, 262144, 1 << 20, 1 << 22};

/// How many items of `elems` elements make so many bytes where each is read or written `accesses` times.
std::int64_t items(std::span<const double> bytes, double elems, double accesses) {
  return std::max<std::int64_t>(std::llround(bytes[0] / (kElemBytes * elems * accesses)), 1);
}

Shape rows(std::span<const double> bytes, double accesses) {
  return {items(bytes, static_cast<double>(kRowElems), accesses), kRowElems};
}

Shape images(std::span<const double> bytes, double accesses) {
  return {items(bytes, static_cast<double>(kImageElems), accesses), kImageChannels, kImageSide, kImageSide};
}

std::vector<std::int64_t> twice(std::int64_t extent) { return {extent, extent}; }

Attributes along(std::int64_t axis) { return Attributes().set("axis", axis); }

/// Element by element over `kInputs` operands.
template <const char* kOperation, int kInputs>
Graph elementwise(std::span<const double> bytes) {
  const Shape x = rows(bytes, kInputs + 1);
  Operands operands;
  for (int input = 0; input < kInputs; ++input) operands.add(x);
  return operands.node(kOperation, Attributes().set("approximate", "none"));
}

constexpr char kAdd[] = "Add";
constexpr char kRelu[] = "Relu";
constexpr char kReluGrad[] = "ReluGrad";
constexpr char kTanh[] = "Tanh";
constexpr char kGelu[] = "Gelu";
constexpr char kGeluGrad[] = "GeluGrad";

Graph add_row(std::span<const double> bytes) { return Operands().add(rows(bytes, 2)).add({kRowElems}).node("Add", {}); }

// Windows of 2 x 2 side by side: a quarter of the elements is left.
Attributes pooling() {
  return Attributes()
      .set("kernel", twice(2))
      .set("strides", twice(2))
      .set("pads", std::vector<std::int64_t>(4, 0))
      .set("count_include_pad", std::int64_t{0})
      .set("ceil_mode", std::int64_t{0});
}

Shape pooled(const Shape& x) { return {x[0], x[1], x[2] / 2, x[3] / 2}; }

Graph max_pool(std::span<const double> bytes) { return Operands().add(images(bytes, 1.5)).node("MaxPool", pooling()); }

Graph max_pool_grad(std::span<const double> bytes) {
  const Shape x = images(bytes, 1.5);
  return Operands()
      .add(pooled(x))
      .add(pooled(x), DataType::i32)
      .node("MaxPoolGrad", pooling().set("shape", x.to_vector()));
}

Graph average_pool(std::span<const double> bytes) {
  return Operands().add(images(bytes, 1.25)).node("AveragePool", pooling());
}

Graph average_pool_grad(std::span<const double> bytes) {
  const Shape x = images(bytes, 1.25);
  return Operands().add(pooled(x)).node("AveragePoolGrad", pooling().set("shape", x.to_vector()));
}

Graph reduce_sum(std::span<const double> bytes) {
  return Operands()
      .add(rows(bytes, 1))
      .node("ReduceSum", Attributes().set("axes", std::vector<std::int64_t>{1}).set("keepdims", std::int64_t{0}));
}

Graph sum_to(std::span<const double> bytes) {
  return Operands().add(rows(bytes, 1)).node("SumTo", Attributes().set("shape", std::vector<std::int64_t>{kRowElems}));
}

Graph transpose(std::span<const double> bytes) {
  return Operands().add(rows(bytes, 2)).node("Transpose", Attributes().set("perm", std::vector<std::int64_t>{1, 0}));
}

Graph slice(std::span<const double> bytes) {
  return Operands()
      .add(rows(bytes, 1))
      .node("Slice", along(1).set("start", std::int64_t{0}).set("end", kRowElems / 2).set("step", std::int64_t{1}));
}

Graph gather(std::span<const double> bytes) {
  return Operands().add({kIndexLimit, kRowElems}).add({rows(bytes, 2)[0]}, DataType::i64).node("Gather", along(0));
}

Graph gather_grad(std::span<const double> bytes) {
  const Shape dy = rows(bytes, 2);
  const Shape table{std::max<std::int64_t>(dy[0], kIndexLimit), kRowElems};
  return Operands().add(dy).add({dy[0]}, DataType::i64).node("GatherGrad", along(0).set("shape", table.to_vector()));
}

Graph dropout(std::span<const double> bytes) {
  return Operands().add(rows(bytes, 2)).node("Dropout", Attributes().set("ratio", 0.1).set("site", std::int64_t{0}));
}

}  // namespace

std::vector<KernelFamily> memory_families() {
  std::vector<KernelFamily> families;
  const auto add = [&](std::string_view name, Graph (*graph)(std::span<const double>), double unused_weight = 1,
                       const std::vector<double>& bytes = kByteSizes) {
    families.push_back({name, {bytes}, graph, unused_weight});
  };
  add("Add", elementwise<kAdd, 2>);
  add("Add.broadcast", add_row);
  add("Relu", elementwise<kRelu, 1>);
  add("ReluGrad", elementwise<kReluGrad, 2>);
  add("Tanh", elementwise<kTanh, 1>);
  add("Gelu", elementwise<kGelu, 1>);
  add("GeluGrad", elementwise<kGeluGrad, 2>);
  add("MaxPool", max_pool, 1, kPoolByteSizes);
  add("MaxPoolGrad", max_pool_grad, 1, kPoolByteSizes);
  add("AveragePool", average_pool, 1, kPoolByteSizes);
  add("AveragePoolGrad", average_pool_grad, 1, kPoolByteSizes);
  add("ReduceSum", reduce_sum, kSumUnused);
  add("SumTo", sum_to, kSumUnused);
  add("Transpose", transpose);
  add("Slice", slice);
  add("Gather", gather);
  add("GatherGrad", gather_grad);
  add("Dropout", dropout);
  return families;
}

}  // namespace dml
