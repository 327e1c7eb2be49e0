// The operation test table: every row is bound on every device and compared with the reference in double, with guard
// bytes around every buffer. CUDA's rows are skipped where there is no GPU, and executed in bf16, too.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <random>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kernels/bf16.h"
#include "models/op.h"
#include "runtime/device/bind_args.h"
#include "runtime/device/device.h"
#include "tests/reference/reference.h"
#include "tests/runtime/guarded.h"
#include "tests/runtime/operation_cases.h"

namespace dml::test {
namespace {

using reference::Tensor64;

/// Where a table's rows are executed, and the type in which floats are stored there.
struct Target {
  std::string_view device;
  DataType storage;
};

/// What stays f32 when activations are stored as bf16: statistics, losses and masks.
struct FloatOperands {
  std::string_view operation;
  std::vector<std::size_t> inputs, outputs;
};
const FloatOperands& float_operands(std::string_view operation) {
  static const std::vector<FloatOperands> kTable = {
      {"LayerNorm", {}, {1, 2}},           {"LayerNormGrad", {3, 4}, {}},  {"LayerNormParamGrad", {2, 3}, {}},
      {"BatchNorm", {3, 4}, {1, 2, 3, 4}}, {"BatchNormGrad", {3, 4}, {}},  {"Attention", {3}, {1}},
      {"AttentionGrad", {4, 6}, {}},       {"PackedAttention", {1}, {1}},  {"PackedAttentionGrad", {2, 4}, {}},
      {"CrossEntropy", {}, {0, 1}},        {"CrossEntropyStats", {}, {0}}, {"CrossEntropyMerge", {0}, {0, 1}},
      {"CrossEntropyGrad", {2}, {}},       {"MeanSquaredError", {}, {0}},  {"WeightedLoss", {}, {0}}};
  static const FloatOperands kNone = {};
  const auto found =
      std::find_if(kTable.begin(), kTable.end(), [&](const auto& row) { return row.operation == operation; });
  return found == kTable.end() ? kNone : *found;
}

std::string text_of(const Attributes& attrs) {
  std::vector<std::string> texts;
  for (const auto& [key, value] : attrs.all()) {
    texts.push_back(key + "=" + std::visit([](const auto& v) { return fmt::format("{}", v); }, value));
  }
  return fmt::format("{{{}}}", fmt::join(texts, ", "));
}

/// One row, made ready: the node in a graph, operands as doubles, and what the step holds.
class Execution {
 public:
  Execution(std::size_t row, Device& device, DataType storage, Guards input_guards)
      : row_(row),
        case_(operation_cases()[row]),
        device_(device),
        storage_(storage),
        input_guards_(input_guards),
        random_(row) {
    make_operands();
    node_ = graph_.add_node(node_of(case_.operation, ids_), {});
    step_.state = {.step = 5, .seed = 0x123456789abcULL, .loss_scale = 0.125F};
    step_.first_sample = 3;
  }

  void run() {
    prepare();
    const DeviceMemory state(device_, sizeof(StepState));
    device_.upload(state.data(), &step_.state, sizeof(StepState));
    const KernelContext context{reinterpret_cast<const StepState*>(state.data()), step_.first_sample};
    const Kernel kernel = device_.bind(graph_, graph_.node(node_), views(in_, true), views(out_, false), context);
    std::vector<std::vector<double>> before;
    for (Guarded& out : out_) before.push_back(out.elements());
    kernel();
    fetch(out_);
    compare(before);
    check_memory();
    repeat(kernel);
  }

 private:
  Node node_of(std::string_view operation, std::vector<ValueId> inputs) const {
    Node node;
    node.op = op(operation);
    node.name = std::string(operation);
    node.attrs = case_.attrs;
    node.inputs = std::move(inputs);
    return node;
  }

  /// Operands have the values that they are stored with, so that what the reference makes of them is the judge.
  void make_operands() {
    const FloatOperands& floats = float_operands(case_.operation);
    for (const Operand& operand : case_.operands) {
      Operand made = operand;
      if (operand.fill == Operand::Fill::forward) {
        const auto [shape, elements] = forward_output(operand.output);
        made.shape = shape;
        operands_.push_back({shape, elements});
      } else {
        operands_.push_back(operand.fill == Operand::Fill::absent ? Tensor64::absent() : filled(operand));
      }
      if (stored(made.type, floats.inputs, ids_.size()) == DataType::bf16) {
        for (double& x : operands_.back().elements) x = to_float(to_bf16(static_cast<float>(x)));
      }
      if (operand.fill == Operand::Fill::absent) {
        ids_.push_back(kNone);
      } else {
        Value value;
        value.name = fmt::format("input{}", ids_.size());
        value.dtype = made.type;
        value.shape = made.shape;
        ids_.push_back(graph_.add_value(value));
      }
    }
  }

  Tensor64 filled(const Operand& operand) {
    std::uniform_real_distribution<double> reals(operand.low, operand.high);
    std::uniform_int_distribution<std::int64_t> wholes(std::llround(operand.low), std::llround(operand.high));
    const auto now_and_then = [&] { return std::uniform_int_distribution(0, 3)(random_) == 0; };
    Tensor64 tensor = Tensor64::zeros(operand.shape);
    if (operand.fill == Operand::Fill::places) {
      for (std::size_t i = 0; i < tensor.elements.size(); ++i) tensor.elements[i] = place_in_window(operand.shape, i);
      return tensor;
    }
    for (double& element : tensor.elements) {
      switch (operand.fill) {
        case Operand::Fill::real: element = static_cast<float>(reals(random_)); break;
        case Operand::Fill::labels: element = now_and_then() ? -100 : static_cast<double>(wholes(random_)); break;
        case Operand::Fill::mask: element = now_and_then() ? -INFINITY : 0; break;
        default: element = static_cast<double>(wholes(random_));
      }
    }
    return tensor;
  }

  /// A place of the pooled plane inside the window of element `index` of the result [N, C, spatial...]; -1 if it holds
  /// nothing.
  double place_in_window(const Shape& result, std::size_t index) {
    const auto kernel = case_.attrs.integers("kernel");
    const auto strides = case_.attrs.integers("strides");
    const auto pads = case_.attrs.integers("pads");
    const auto whole = case_.attrs.integers("shape");
    const auto dense = strides_of(result);
    std::int64_t place = 0;
    for (std::size_t dim = 0; dim < kernel.size(); ++dim) {
      const std::int64_t extent = whole[dim + 2];
      const std::int64_t at = static_cast<std::int64_t>(index) / dense[dim + 2] % result[static_cast<int>(dim) + 2];
      const std::int64_t first = at * (strides.empty() ? 1 : strides[dim]) - (pads.empty() ? 0 : pads[dim]);
      const std::int64_t begin = std::max<std::int64_t>(first, 0);
      const std::int64_t end = std::min(first + kernel[dim], extent);
      if (begin >= end) return -1;
      place = place * extent + std::uniform_int_distribution(begin, end - 1)(random_);
    }
    return static_cast<double>(place);
  }

  /// The type in which a tensor of the graph's `type` is stored: f32 as the target has it, unless it is of those that
  /// stay.
  DataType stored(DataType type, const std::vector<std::size_t>& stay, std::size_t index) const {
    const bool stays = std::find(stay.begin(), stay.end(), index) != stay.end();
    return type == DataType::f32 && !stays ? storage_ : type;
  }
  TypedShape stored(ValueId id, const std::vector<std::size_t>& stay, std::size_t index) const {
    return {stored(graph_.value(id).dtype, stay, index), graph_.shape(id)};
  }

  /// An output of the reference's forward operation, rounded to float.
  Tensor64 forward_output(std::size_t output) {
    std::vector<ValueId> ids;
    std::vector<Tensor64> inputs;
    for (const std::size_t operand : case_.forward_operands) {
      ids.push_back(ids_[operand]);
      inputs.push_back(operands_[operand]);
    }
    Graph graph = graph_;
    const NodeId node = graph.add_node(node_of(case_.forward, ids), {});
    Tensor64 result = reference::evaluate(graph, graph.node(node), inputs, step_)[output];
    for (double& element : result.elements) element = static_cast<float>(element);
    return result;
  }

  /// Puts the operands into the device's memory.
  void prepare() {
    const FloatOperands& floats = float_operands(case_.operation);
    for (std::size_t i = 0; i < operands_.size(); ++i) {
      const ValueId id = ids_[i];
      in_.emplace_back(device_, id == kNone ? TypedShape{DataType::f32, {0}} : stored(id, floats.inputs, i),
                       input_guards_);
      if (id != kNone) in_.back().write(operands_[i].elements);
    }
    const auto& outputs = graph_.node(node_).outputs;
    for (std::size_t i = 0; i < outputs.size(); ++i) out_.emplace_back(device_, stored(outputs[i], floats.outputs, i));
    if (accumulates()) out_[0].write(filled(real(graph_.shape(outputs[0]))).elements);
  }

  static void fetch(std::vector<Guarded>& buffers) {
    for (Guarded& buffer : buffers) buffer.fetch();
  }

  bool accumulates() const { return case_.attrs.integer("accumulate") != 0; }

  std::vector<TensorView> views(const std::vector<Guarded>& buffers, bool are_inputs) const {
    std::vector<TensorView> views;
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      views.push_back(are_inputs && ids_[i] == kNone ? TensorView{} : buffers[i].view());
    }
    return views;
  }

  /// What an element may differ by, the largest of its tensor being `largest`. bf16 has 8 significant bits, so a result
  /// is rounded by up to 2^-9 of itself, and by twice that where the float before it lies beyond the middle between
  /// two. A gradient that reads a result of the forward operation sums terms that are rounded so. Elements that only
  /// move stay exact.
  double allowed(double reference, double largest) const {
    constexpr double kBf16Rounding = 1.0 / 256;
    const auto [atol, rtol] = case_.tolerance;
    if (storage_ != DataType::bf16 || (atol == 0 && rtol == 0)) return atol + rtol * std::abs(reference);
    const double on_the_way = rounds_on_the_way() ? kBf16Rounding * largest : 0;
    return atol + on_the_way + (rtol + kBf16Rounding) * std::abs(reference);
  }

  /// A gradient that reads a stored result of the forward operation.
  bool rounds_on_the_way() const {
    const auto& stay = float_operands(case_.operation).inputs;
    for (std::size_t i = 0; i < case_.operands.size(); ++i) {
      const bool stays = std::find(stay.begin(), stay.end(), i) != stay.end();
      if (case_.operands[i].fill == Operand::Fill::forward && !stays) return true;
    }
    return false;
  }

  void compare(const std::vector<std::vector<double>>& before) {
    const auto wanted = reference::evaluate(graph_, graph_.node(node_), operands_, step_);
    for (std::size_t output = 0; output < wanted.size(); ++output) {
      const auto found = out_[output].elements();
      double largest = 0;
      for (const double element : wanted[output].elements) largest = std::max(largest, std::abs(element));
      for (std::size_t i = 0; i < found.size(); ++i) {
        const double reference = wanted[output].elements[i] + (accumulates() && output == 0 ? before[output][i] : 0);
        const double limit = allowed(reference, largest);
        if (found[i] == reference || std::abs(found[i] - reference) <= limit) continue;
        ADD_FAILURE() << text()
                      << fmt::format(": output {} element {} is {}, reference {}, allowed {:.1e}", output, i, found[i],
                                     reference, limit);
        break;
      }
    }
  }

  void check_memory() {
    for (std::size_t i = 0; i < out_.size(); ++i) {
      EXPECT_TRUE(out_[i].guards_are_intact()) << text() << ": wrote outside output " << i;
    }
    for (std::size_t i = 0; i < in_.size(); ++i) {
      if (ids_[i] == kNone) continue;
      const auto original = in_[i].bytes();
      in_[i].fetch();
      EXPECT_EQ(original, in_[i].bytes()) << text() << ": wrote to input " << i;
    }
  }

  /// The same kernel again gives the same bits.
  void repeat(const Kernel& kernel) {
    if (accumulates()) return;
    kernel();
    for (std::size_t i = 0; i < out_.size(); ++i) {
      const auto first = out_[i].bytes();
      out_[i].fetch();
      EXPECT_EQ(first, out_[i].bytes()) << text() << ": the second run differs in output " << i;
    }
  }

  std::string text() const {
    std::vector<std::string> operands;
    for (const ValueId id : ids_) {
      operands.push_back(id == kNone
                             ? "absent"
                             : fmt::format("{}[{}]", name_of(graph_.value(id).dtype), graph_.shape(id).to_string()));
    }
    return fmt::format("{} {} {}({}) {} row {} (seed {})", device_.name(), name_of(storage_), case_.operation,
                       fmt::join(operands, ", "), text_of(case_.attrs), row_, row_);
  }

  std::size_t row_;
  const OperationCase& case_;
  Device& device_;
  DataType storage_;
  Guards input_guards_;
  std::mt19937_64 random_;
  Graph graph_;
  std::vector<ValueId> ids_;
  std::vector<Tensor64> operands_;
  NodeId node_ = kNone;
  reference::Step step_;
  std::vector<Guarded> in_, out_;
};

bool is_executed_by_communicator(std::string_view operation) {
  return operation == "AllReduce" || operation == "AllGather" || operation == "ReduceScatter";
}

std::vector<std::string_view> kernel_operations() {
  std::vector<std::string_view> names;
  for (const OpDef& op : all_ops()) {
    if (!is_executed_by_communicator(op.name)) names.push_back(op.name);
  }
  return names;
}

/// All devices that this build can compute on.
std::vector<Target> targets() {
  std::vector<Target> targets = {{"cpu", DataType::f32}};
  if (count_gpus().is_built) {
    targets.push_back({"cuda", DataType::f32});
    targets.push_back({"cuda", DataType::bf16});
  }
  return targets;
}

std::string name_of(const Target& target) { return fmt::format("{}_{}", target.device, name_of(target.storage)); }

bool is_here(const Target& target) { return target.device == "cpu" || count_gpus().count > 0; }

std::unique_ptr<Device> make_device(const Target& target) {
  return target.device == "cuda" ? make_cuda_device(0) : make_cpu_device();
}

/// What a kernel reads behind an input shows in its results where guard bytes are there, and without them where the
/// device sees the read, as the emulated one does. The CPU's memory is longer than what was asked for.
std::vector<Guards> guards_of_inputs(const Device& device) {
  if (device.shares_host_memory()) return {Guards::around};
  return {Guards::around, Guards::before};
}

using TargetAndOperation = std::tuple<Target, std::string_view>;

class OperationTable : public testing::TestWithParam<TargetAndOperation> {};

TEST_P(OperationTable, KernelsAgreeWithTheReference) {
  const auto& [target, operation] = GetParam();
  if (!is_here(target)) GTEST_SKIP() << count_gpus().why_none;
  const auto device = make_device(target);
  for (std::size_t row = 0; row < operation_cases().size(); ++row) {
    if (operation_cases()[row].operation != operation) continue;
    for (const Guards guards : guards_of_inputs(*device))
      ASSERT_NO_THROW(Execution(row, *device, target.storage, guards).run()) << operation << " row " << row;
  }
}

INSTANTIATE_TEST_SUITE_P(All, OperationTable,
                         testing::Combine(testing::ValuesIn(targets()), testing::ValuesIn(kernel_operations())),
                         [](const testing::TestParamInfo<TargetAndOperation>& info) {
                           return fmt::format("{}_{}", name_of(std::get<0>(info.param)), std::get<1>(info.param));
                         });

class BadLabel : public testing::TestWithParam<Target> {};

TEST_P(BadLabel, IsNamed) {
  if (!is_here(GetParam())) GTEST_SKIP() << count_gpus().why_none;
  const auto device = make_device(GetParam());
  std::vector<Guarded> in, out;
  in.emplace_back(*device, TypedShape{GetParam().storage, {3, 5}});
  in.emplace_back(*device, TypedShape{DataType::i64, {3}});
  in[0].write(std::vector<double>(15, 0.5));
  in[1].write({1, 9, -100});
  out.emplace_back(*device, TypedShape{DataType::f32, {}});
  out.emplace_back(*device, TypedShape{DataType::f32, {3}});
  const DeviceMemory state(*device, sizeof(StepState));
  const StepState weight{.loss_scale = 0.5F};
  device->upload(state.data(), &weight, sizeof(weight));
  Graph graph;
  Node node;
  node.op = op("CrossEntropy");
  node.name = "loss";
  const auto add = [&](const char* name, DataType type, const Shape& shape) {
    Value value;
    value.name = name;
    value.dtype = type;
    value.shape = shape;
    return graph.add_value(value);
  };
  node.inputs = {add("logits", DataType::f32, {3, 5}), add("labels", DataType::i64, {3})};
  const NodeId id = graph.add_node(node, {});
  const KernelContext context{reinterpret_cast<const StepState*>(state.data())};
  const Kernel kernel = device->bind(graph, graph.node(id), std::array{in[0].view(), in[1].view()},
                                     std::array{out[0].view(), out[1].view()}, context);
  try {
    kernel();
    device->synchronize();
    FAIL() << "no error";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "[cross_entropy] label 9 in row 1 is outside [0, 5)");
  }
}

INSTANTIATE_TEST_SUITE_P(All, BadLabel, testing::ValuesIn(targets()),
                         [](const testing::TestParamInfo<Target>& info) { return name_of(info.param); });

TEST(Operations, EachHasAKernelADefinitionAndThreeRows) {
  const auto with_kernel = operations_with_kernels();
  for (const std::string_view name : kernel_operations()) {
    EXPECT_EQ(std::count(with_kernel.begin(), with_kernel.end(), name), 1) << "kernels of " << name;
    EXPECT_TRUE(reference::has_definition(name)) << name << " has no definition in tests/reference";
    const auto rows = std::count_if(operation_cases().begin(), operation_cases().end(),
                                    [&](const OperationCase& row) { return row.operation == name; });
    EXPECT_GE(rows, 3) << name << " in the operation test table";
  }
}

TEST(Operations, EveryRowAndKernelNamesAnOperation) {
  for (const OperationCase& row : operation_cases()) EXPECT_NE(find_op(row.operation), nullptr) << row.operation;
  for (const std::string_view name : operations_with_kernels()) EXPECT_NE(find_op(name), nullptr) << name;
}

}  // namespace
}  // namespace dml::test
