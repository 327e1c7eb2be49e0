#include "runtime/calibrate/kernel_sweep.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "kernels/error.h"
#include "kernels/optimizer.h"
#include "kernels/step_state.h"
#include "models/op.h"
#include "parallel/cost/kernel_size.h"
#include "runtime/calibrate/kernel_families.h"
#include "runtime/calibrate/samples.h"
#include "runtime/comm/clock.h"
#include "runtime/device/cpu/kernel_table.h"

namespace dml {
namespace {

constexpr std::size_t kArenaBytes = std::size_t{128} << 20;
constexpr std::size_t kIndexBytes = std::size_t{32} << 20;
/// Sets of buffers are used in turn until they are so many bytes together: more than the caches of a core.
constexpr double kRotatedBytes = 64 << 20;
constexpr int kMostSets = 8;
/// Of one size in one round: at least kLeast repetitions, more while they take less than this.
constexpr double kSliceSeconds = 1e-3;
constexpr int kLeastRepetitions = 2;
constexpr int kMostRepetitions = 12;

/// Memory that tensors are cut from, one after the other, until it is rewound.
class Arena {
 public:
  explicit Arena(std::size_t bytes) : memory_(bytes / sizeof(Line)) {}

  std::byte* data() { return reinterpret_cast<std::byte*>(memory_.data()); }
  std::size_t size() const { return memory_.size() * sizeof(Line); }
  TensorView take(const Value& value) {
    const TensorView view{data() + used_, value.dtype, value.shape};
    used_ += (view.num_bytes() + sizeof(Line) - 1) / sizeof(Line) * sizeof(Line);
    DML_ASSERT(used_ <= size(), "the arena is too small for " + value.shape.to_string());
    return view;
  }
  void rewind() { used_ = 0; }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> memory_;
  std::size_t used_ = 0;
};

/// Operands: floats of about 1, indices that every table has, and room for results, which nobody reads.
class Buffers {
 public:
  Buffers() : floats_(kArenaBytes), indices_(kIndexBytes), results_(kArenaBytes) {
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

  TensorView operand(const Value& value) { return (is_float(value.dtype) ? floats_ : indices_).take(value); }
  TensorView result(const Value& value) { return results_.take(value); }
  void rewind() {
    floats_.rewind();
    indices_.rewind();
    results_.rewind();
  }

 private:
  Arena floats_, indices_, results_;
};

/// One size of a family, and how long it took.
struct Case {
  std::vector<double> sizes;
  double bytes = 0;
  std::function<Kernel(Buffers&)> bind;
  std::vector<double> used = {}, unused = {};  ///< seconds on buffers used a moment ago, and on others

  double seconds(double unused_weight) const {
    return std::pow(median(used), 1 - unused_weight) * std::pow(median(unused), unused_weight);
  }
  double spread() const { return 0.5 * (relative_spread(used) + relative_spread(unused)); }
};

struct Family {
  std::string name;
  double unused_weight = 1;
  std::size_t num_axes = 1;
  std::vector<std::size_t> extents = {};  ///< points on each axis
  std::vector<Case> points = {};          ///< row-major
  std::vector<Case> between = {};         ///< sizes between the points, for the residual
};

/// What kernels of a calibration read beside their operands.
const KernelContext& context() {
  static const StepState state;
  static const KernelContext context{.state = &state};
  return context;
}

Kernel bind_graph(const Graph& graph, Buffers& buffers) {
  const Node& node = graph.nodes().back();
  std::vector<TensorView> inputs;
  for (const ValueId id : node.inputs) inputs.push_back(id == kNone ? TensorView{} : buffers.operand(graph.value(id)));
  std::vector<TensorView> outputs;
  for (const ValueId id : node.outputs) outputs.push_back(buffers.result(graph.value(id)));
  return bind_kernel(graph, node, inputs, outputs, context());
}

Case graph_case(const KernelFamily& family, std::span<const double> sizes) {
  const auto graph = std::make_shared<const Graph>(family.graph(sizes));
  const KernelSize size = kernel_size(*graph, graph->nodes().back());
  DML_ASSERT(size.family == family.name, size.family);
  const std::span<const double> exact = size.sizes();
  return {.sizes = {exact.begin(), exact.end()},
          .bytes = cost_of(*graph, graph->nodes().back()).bytes,
          .bind = [graph](Buffers& buffers) { return bind_graph(*graph, buffers); }};
}

Value flat(std::int64_t num_elems) {
  Value value;
  value.shape = {num_elems};
  return value;
}

Kernel bind_update(std::int64_t n, Buffers& buffers) {
  float* const weights = buffers.result(flat(n)).f32();
  float* const moment1 = buffers.result(flat(n)).f32();
  float* const moment2 = buffers.result(flat(n)).f32();
  for (float* const range : {weights, moment1, moment2}) std::fill(range, range + n, 1.0F);
  return [=, gradients = buffers.operand(flat(n)).f32()] {
    cpu::adamw(weights, moment1, moment2, gradients, n, AdamStep{.learning_rate = 1e-3});
  };
}

Kernel bind_squares(std::int64_t n, Buffers& buffers) {
  return [n, x = buffers.operand(flat(n)).f32(), sum = buffers.result(flat(1)).f32()] {
    *sum = static_cast<float>(cpu::sum_of_squares(x, n));
  };
}

/// A loop over flat ranges that touches each element so many times.
Case flat_case(double bytes, int accesses, Kernel (*bind)(std::int64_t n, Buffers& buffers)) {
  const auto n = static_cast<std::int64_t>(bytes) / (accesses * static_cast<std::int64_t>(sizeof(float)));
  const double exact = static_cast<double>(n) * accesses * sizeof(float);
  return {.sizes = {exact}, .bytes = exact, .bind = [n, bind](Buffers& buffers) { return bind(n, buffers); }};
}

Family flat_family(std::string_view name, std::span<const double> bytes, int accesses,
                   Kernel (*bind)(std::int64_t n, Buffers& buffers)) {
  Family family{.name = std::string(name), .extents = {bytes.size()}};
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
void drop_repeated(Family& family) {
  const auto same = [](const Case& a, const Case& b) { return a.sizes == b.sizes; };
  family.points.erase(std::unique(family.points.begin(), family.points.end(), same), family.points.end());
  family.extents = {family.points.size()};
}

Family graph_family(const KernelFamily& kernel) {
  Family family{
      .name = std::string(kernel.name), .unused_weight = kernel.unused_weight, .num_axes = kernel.axes.size()};
  for (const std::vector<double>& axis : kernel.axes) family.extents.push_back(axis.size());
  for (const std::vector<double>& sizes : grid(kernel.axes)) family.points.push_back(graph_case(kernel, sizes));
  if (family.num_axes == 1) drop_repeated(family);
  for (const std::vector<double>& sizes : middles(kernel.axes)) family.between.push_back(graph_case(kernel, sizes));
  return family;
}

std::vector<Family> all_families() {
  const double bytes[] = {4096, 16384, 65536, 262144, 1 << 20, 1 << 22, 1 << 24, 1 << 26};
  std::vector<Family> families;
  for (const KernelFamily& kernel : kernel_families()) families.push_back(graph_family(kernel));
  families.push_back(flat_family(kUpdateFamily, bytes, 7, bind_update));
  families.push_back(flat_family(kSquaresFamily, bytes, 1, bind_squares));
  return families;
}

double seconds_of_run(const Kernel& kernel) {
  const Clock::time_point begin = Clock::now();
  kernel();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Of a kernel of one thread: without the time in which somebody else had its core.
double undisturbed_seconds(const Kernel& kernel) {
  const double begin = thread_processor_seconds();
  const double seconds = seconds_of_run(kernel);
  return std::min(seconds, thread_processor_seconds() - begin);
}

/// Runs the kernels in turn, and appends what each run takes.
void run_in_turn(std::span<const Kernel> kernels, int threads, std::vector<double>& seconds) {
  double spent = 0;
  for (int i = 0; i < kMostRepetitions && (i < kLeastRepetitions || spent < kSliceSeconds); ++i) {
    const Kernel& kernel = kernels[static_cast<std::size_t>(i) % kernels.size()];
    seconds.push_back(threads == 1 ? undisturbed_seconds(kernel) : seconds_of_run(kernel));
    spent += seconds.back();
  }
}

void measure(Case& size, int threads, Buffers& buffers) {
  const int sets = std::clamp(static_cast<int>(kRotatedBytes / size.bytes), 1, kMostSets);
  std::vector<Kernel> kernels;
  buffers.rewind();
  for (int set = 0; set < sets; ++set) kernels.push_back(size.bind(buffers));
  for (const Kernel& kernel : kernels) kernel();  // the first run of each may allocate
  run_in_turn(kernels, threads, size.unused);
  kernels.front()();
  run_in_turn(std::span(kernels).first(1), threads, size.used);
}

SizeTable table_of(const Family& family) {
  SizeTable table;
  std::size_t stride = family.points.size();
  for (std::size_t axis = 0; axis < family.num_axes; ++axis) {
    stride /= family.extents[axis];
    std::vector<double>& sizes = table.axes.emplace_back();
    for (std::size_t i = 0; i < family.extents[axis]; ++i) sizes.push_back(family.points[i * stride].sizes[axis]);
  }
  for (const Case& point : family.points) {
    table.seconds.push_back(point.seconds(family.unused_weight));
    table.spread.push_back(point.spread());
  }
  return table;
}

double residual_of(const Family& family, const SizeTable& table) {
  std::vector<double> errors;
  for (const Case& size : family.between)
    errors.push_back(std::abs(table.seconds_at(size.sizes) / size.seconds(family.unused_weight) - 1));
  return median(errors);
}

void run_round(std::vector<Family>& families, int threads, Buffers& buffers,
               const std::function<void(const Family&)>& done) {
  for (Family& family : families) {
    for (Case& size : family.points) measure(size, threads, buffers);
    for (Case& size : family.between) measure(size, threads, buffers);
    done(family);
  }
}

}  // namespace

std::map<std::string, KernelTable, std::less<>> measure_kernels(const KernelSweep& sweep,
                                                                const SweepProgress& progress) {
  Buffers buffers;
  std::vector<Family> families = all_families();
  const Clock::time_point begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  double round_seconds = 0;
  for (int round = 0; round < sweep.rounds && elapsed() + round_seconds <= sweep.seconds; ++round) {
    const double round_begin = elapsed();
    std::size_t done = 0;
    run_round(families, sweep.threads, buffers, [&](const Family& family) {
      const double rounds = std::clamp(sweep.seconds / std::max(round_seconds, 1e-3), 1.0, 1.0 * sweep.rounds);
      const double part = (round + 1.0 * static_cast<double>(++done) / static_cast<double>(families.size())) / rounds;
      progress(family.name, std::min(part, 1.0));
    });
    round_seconds = elapsed() - round_begin;
  }
  std::map<std::string, KernelTable, std::less<>> tables;
  for (Family& family : families) {
    if (sweep.share_cores) family.unused_weight = 1;
    KernelTable& kernel = tables[family.name];
    kernel = {.threads = sweep.threads, .ranks = sweep.ranks, .table = table_of(family)};
    kernel.residual = residual_of(family, kernel.table);
  }
  return tables;
}

double measure_launch() {
  constexpr int kCalls = 1000;
  const Kernel nothing = [] {};
  const Clock::time_point begin = Clock::now();
  double inside = 0;
  for (int call = 0; call < kCalls; ++call) inside += seconds_of_run(nothing);
  const double all = std::chrono::duration<double>(Clock::now() - begin).count();
  return std::max(all - inside, 0.0) / kCalls;
}

}  // namespace dml
