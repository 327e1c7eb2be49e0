#include "runtime/calibrate/kernel_cases.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "kernels/cpu/parallel.h"
#include "kernels/error.h"
#include "kernels/optimizer.h"
#include "kernels/step_state.h"
#include "models/op.h"
#include "parallel/cost/kernel_size.h"
#include "runtime/calibrate/kernel_families.h"
#include "runtime/calibrate/samples.h"

namespace dml {
namespace {

constexpr std::size_t kArenaBytes = std::size_t{128} << 20;
constexpr std::size_t kIndexBytes = std::size_t{32} << 20;

/// What kernels of a calibration read beside their operands.
const KernelContext& context() {
  static const StepState state;
  static const KernelContext context{.state = &state};
  return context;
}

Kernel bind_graph(const Graph& graph, SweepBuffers& buffers) {
  const Node& node = graph.nodes().back();
  std::vector<TensorView> inputs;
  for (const ValueId id : node.inputs) inputs.push_back(id == kNone ? TensorView{} : buffers.operand(graph.value(id)));
  std::vector<TensorView> outputs;
  for (const ValueId id : node.outputs) outputs.push_back(buffers.result(graph.value(id)));
  return bind_kernel(graph, node, inputs, outputs, context());
}

KernelCase graph_case(const KernelFamily& family, std::span<const double> sizes) {
  const auto graph = std::make_shared<const Graph>(family.graph(sizes));
  const KernelSize size = kernel_size(*graph, graph->nodes().back());
  DML_ASSERT(size.family == family.name, size.family);
  const std::span<const double> exact = size.sizes();
  return {.sizes = {exact.begin(), exact.end()},
          .bytes = cost_of(*graph, graph->nodes().back()).bytes,
          .bind = [graph](SweepBuffers& buffers) { return bind_graph(*graph, buffers); }};
}

Value flat(std::int64_t num_elems) {
  Value value;
  value.shape = {num_elems};
  return value;
}

Kernel bind_update(std::int64_t n, SweepBuffers& buffers) {
  float* const weights = buffers.result(flat(n)).f32();
  float* const moment1 = buffers.result(flat(n)).f32();
  float* const moment2 = buffers.result(flat(n)).f32();
  for (float* const range : {weights, moment1, moment2}) std::fill(range, range + n, 1.0F);
  return [=, gradients = buffers.operand(flat(n)).f32()] {
    cpu::adamw(weights, moment1, moment2, gradients, n, AdamStep{.learning_rate = 1e-3});
  };
}

Kernel bind_squares(std::int64_t n, SweepBuffers& buffers) {
  return [n, x = buffers.operand(flat(n)).f32(), sum = buffers.result(flat(1)).f32()] {
    *sum = static_cast<float>(cpu::sum_of_squares(x, n));
  };
}

/// A loop over flat ranges that touches each element so many times.
KernelCase flat_case(double bytes, int accesses, Kernel (*bind)(std::int64_t n, SweepBuffers& buffers)) {
  const auto n = static_cast<std::int64_t>(bytes) / (accesses * static_cast<std::int64_t>(sizeof(float)));
  const double exact = static_cast<double>(n) * accesses * sizeof(float);
  return {.sizes = {exact}, .bytes = exact, .bind = [n, bind](SweepBuffers& buffers) { return bind(n, buffers); }};
}

CaseFamily flat_family(std::string_view name, std::span<const double> bytes, int accesses,
                       Kernel (*bind)(std::int64_t n, SweepBuffers& buffers)) {
  CaseFamily family{.name = std::string(name), .extents = {bytes.size()}};
  for (const double size : bytes) family.points.push_back(flat_case(size, accesses, bind));
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i)
    family.between.push_back(flat_case(std::sqrt(bytes[i] * bytes[i + 1]), accesses, bind));
  return family;
}

/// All points of the grid, row-major.
std::vector<std::vector<double>> grid(const std::vector<std::vector<double>>& axes) {
  std::vector<std::vector<double>> points{{}};
  for (const std::vector<double>& axis : axes) {
    std::vector<std::vector<double>> longer;
    for (const std::vector<double>& point : points) {
      for (const double size : axis) {
        longer.push_back(point);
        longer.back().push_back(size);
      }
    }
    points = std::move(longer);
  }
  return points;
}

/// Sizes in the middle of the cells along the grid's diagonal, in powers of two.
std::vector<std::vector<double>> middles(const std::vector<std::vector<double>>& axes) {
  std::size_t cells = axes.front().size() - 1;
  for (const std::vector<double>& axis : axes) cells = std::min(cells, axis.size() - 1);
  std::vector<std::vector<double>> points(cells);
  for (std::size_t cell = 0; cell < cells; ++cell) {
    for (const std::vector<double>& axis : axes) points[cell].push_back(std::sqrt(axis[cell] * axis[cell + 1]));
  }
  return points;
}

/// The smallest bytes can come to the same one item.
void drop_repeated(CaseFamily& family) {
  const auto same = [](const KernelCase& a, const KernelCase& b) { return a.sizes == b.sizes; };
  family.points.erase(std::unique(family.points.begin(), family.points.end(), same), family.points.end());
  family.extents = {family.points.size()};
}

CaseFamily graph_family(const KernelFamily& kernel) {
  CaseFamily family{
      .name = std::string(kernel.name), .unused_weight = kernel.unused_weight, .num_axes = kernel.axes.size()};
  for (const std::vector<double>& axis : kernel.axes) family.extents.push_back(axis.size());
  for (const std::vector<double>& sizes : grid(kernel.axes)) family.points.push_back(graph_case(kernel, sizes));
  if (family.num_axes == 1) drop_repeated(family);
  for (const std::vector<double>& sizes : middles(kernel.axes)) family.between.push_back(graph_case(kernel, sizes));
  return family;
}

}  // namespace

SweepBuffers::SweepBuffers()
    : floats_(kArenaBytes), indices_(kIndexBytes), results_(kArenaBytes), foreign_(kBeyondCaches / sizeof(float)) {
  auto* const floats = reinterpret_cast<float*>(floats_.data());
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < floats_.size() / sizeof(float); ++i) {
    state = state * 1664525U + 1013904223U;  // Numerical Recipes' generator
    floats[i] = 0.5F + static_cast<float>(state >> 8) * 0x1p-24F;
  }
  auto* const indices = reinterpret_cast<std::int64_t*>(indices_.data());
  for (std::size_t i = 0; i < indices_.size() / sizeof(std::int64_t); ++i)
    indices[i] = static_cast<std::int64_t>(i * 37 % kIndexLimit);
}

void SweepBuffers::flush_caches() {
  cpu::parallel_chunks(static_cast<std::int64_t>(foreign_.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    std::fill(foreign_.begin() + begin, foreign_.begin() + end, 1.0F);
  });
}

double KernelCase::seconds(double unused_weight) const {
  return std::pow(undisturbed_mean(used), 1 - unused_weight) * std::pow(undisturbed_mean(unused), unused_weight);
}

double KernelCase::spread() const { return 0.5 * (relative_spread(used) + relative_spread(unused)); }

std::vector<CaseFamily> all_families() {
  const double bytes[] = {4096, 16384, 65536, 262144, 1 << 20, 1 << 22, 1 << 24, 1 << 26};
  std::vector<CaseFamily> families;
  for (const KernelFamily& kernel : kernel_families()) families.push_back(graph_family(kernel));
  families.push_back(flat_family(kUpdateFamily, bytes, 7, bind_update));
  families.push_back(flat_family(kSquaresFamily, bytes, 1, bind_squares));
  return families;
}

}  // namespace dml
