// The operation test table: every row is bound as a CPU kernel and compared with the reference in double, with guard
// bytes around every buffer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "models/op.h"
#include "runtime/device/cpu/kernel_table.h"
#include "tests/reference/reference.h"
#include "tests/runtime/operation_cases.h"

namespace dml::test {
namespace {

using reference::Tensor64;

/// Memory of a tensor between guard bytes; its elements are written and read as doubles.
class Guarded {
 public:
  explicit Guarded(const TypedShape& type) : type_(type) {
    const std::size_t used = size_of(type.dtype) * static_cast<std::size_t>(type.shape.num_elements());
    bytes_.assign(used + 2 * kGuard + kAlignment, kPattern);
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data()) + kGuard;
    begin_ = kGuard + (kAlignment - address % kAlignment) % kAlignment;
    end_ = begin_ + used;
  }

  TensorView view() { return {bytes_.data() + begin_, type_.dtype, type_.shape}; }
  const std::vector<unsigned char>& bytes() const { return bytes_; }

  bool guards_are_intact() const {
    const auto is_pattern = [](unsigned char byte) { return byte == kPattern; };
    return std::all_of(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(begin_), is_pattern) &&
           std::all_of(bytes_.begin() + static_cast<std::ptrdiff_t>(end_), bytes_.end(), is_pattern);
  }

  void write(const std::vector<double>& elements) {
    visit([&](auto* data) {
      using Element = std::remove_pointer_t<decltype(data)>;
      std::transform(elements.begin(), elements.end(), data, [](double x) { return static_cast<Element>(x); });
    });
  }
  std::vector<double> read() {
    std::vector<double> elements(static_cast<std::size_t>(type_.shape.num_elements()));
    visit([&](auto* data) {
      std::transform(data, data + elements.size(), elements.begin(), [](auto x) { return static_cast<double>(x); });
    });
    return elements;
  }

 private:
  static constexpr std::size_t kGuard = 64;
  static constexpr std::size_t kAlignment = 64;
  static constexpr unsigned char kPattern = 0xff;  // of floats: NaN, so that a gap in the result shows

  template <typename Body>
  void visit(const Body& body) {
    unsigned char* const data = bytes_.data() + begin_;
    switch (type_.dtype) {
      case DataType::f32: return body(reinterpret_cast<float*>(data));
      case DataType::i64: return body(reinterpret_cast<std::int64_t*>(data));
      case DataType::i32: return body(reinterpret_cast<std::int32_t*>(data));
      case DataType::boolean: return body(data);
      default: throw std::invalid_argument(fmt::format("no test operand of type {}", name_of(type_.dtype)));
    }
  }

  TypedShape type_;
  std::vector<unsigned char> bytes_;
  std::size_t begin_ = 0, end_ = 0;
};

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
  explicit Execution(std::size_t row) : row_(row), case_(operation_cases()[row]), random_(row) {
    make_operands();
    node_ = graph_.add_node(node_of(case_.operation, ids_), {});
    step_.state = {.step = 5, .seed = 0x123456789abcULL, .loss_scale = 0.125F};
    step_.first_sample = 3;
  }

  void run() {
    prepare();
    std::vector<std::vector<double>> before;
    for (Guarded& out : out_) before.push_back(out.read());
    const KernelContext context{&step_.state, step_.first_sample};
    const Kernel kernel = bind_kernel(graph_, graph_.node(node_), views(in_, true), views(out_, false), context);
    kernel();
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

  void make_operands() {
    for (const Operand& operand : case_.operands) {
      Operand made = operand;
      if (operand.fill == Operand::Fill::forward) {
        const auto [shape, elements] = forward_output(operand.output);
        made.shape = shape;
        operands_.push_back({shape, elements});
      } else {
        operands_.push_back(operand.fill == Operand::Fill::absent ? Tensor64::absent() : filled(operand));
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

  void prepare() {
    for (std::size_t i = 0; i < operands_.size(); ++i) {
      const ValueId id = ids_[i];
      in_.emplace_back(id == kNone ? TypedShape{DataType::f32, {0}}
                                   : TypedShape{graph_.value(id).dtype, graph_.shape(id)});
      if (id != kNone) in_.back().write(operands_[i].elements);
    }
    for (const ValueId id : graph_.node(node_).outputs)
      out_.emplace_back(TypedShape{graph_.value(id).dtype, graph_.shape(id)});
    if (accumulates()) out_[0].write(filled(real(graph_.shape(graph_.node(node_).outputs[0]))).elements);
  }

  bool accumulates() const { return case_.attrs.integer("accumulate") != 0; }

  std::vector<TensorView> views(std::vector<Guarded>& buffers, bool are_inputs) {
    std::vector<TensorView> views;
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      views.push_back(are_inputs && ids_[i] == kNone ? TensorView{} : buffers[i].view());
    }
    return views;
  }

  void compare(const std::vector<std::vector<double>>& before) {
    const auto wanted = reference::evaluate(graph_, graph_.node(node_), operands_, step_);
    for (std::size_t output = 0; output < wanted.size(); ++output) {
      const auto found = out_[output].read();
      for (std::size_t i = 0; i < found.size(); ++i) {
        const double reference = wanted[output].elements[i] + (accumulates() ? before[output][i] : 0);
        const double allowed = case_.tolerance.atol + case_.tolerance.rtol * std::abs(reference);
        if (found[i] == reference || std::abs(found[i] - reference) <= allowed) continue;
        ADD_FAILURE() << text()
                      << fmt::format(": output {} element {} is {}, reference {}, allowed {:.1e}", output, i, found[i],
                                     reference, allowed);
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
      Guarded original = in_[i];
      original.write(operands_[i].elements);
      EXPECT_EQ(std::memcmp(original.bytes().data(), in_[i].bytes().data(), in_[i].bytes().size()), 0)
          << text() << ": wrote to input " << i;
    }
  }

  /// The same kernel again gives the same bits.
  void repeat(const Kernel& kernel) {
    if (accumulates()) return;
    const std::vector<Guarded> first = out_;
    kernel();
    for (std::size_t i = 0; i < out_.size(); ++i) {
      EXPECT_EQ(first[i].bytes(), out_[i].bytes()) << text() << ": the second run differs in output " << i;
    }
  }

  std::string text() const {
    std::vector<std::string> operands;
    for (const ValueId id : ids_) {
      operands.push_back(id == kNone
                             ? "absent"
                             : fmt::format("{}[{}]", name_of(graph_.value(id).dtype), graph_.shape(id).to_string()));
    }
    return fmt::format("{}({}) {} row {} (seed {})", case_.operation, fmt::join(operands, ", "), text_of(case_.attrs),
                       row_, row_);
  }

  std::size_t row_;
  const OperationCase& case_;
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

class OperationTable : public testing::TestWithParam<std::string_view> {};

TEST_P(OperationTable, KernelsAgreeWithTheReference) {
  for (std::size_t row = 0; row < operation_cases().size(); ++row) {
    if (operation_cases()[row].operation != GetParam()) continue;
    ASSERT_NO_THROW(Execution(row).run()) << GetParam() << " row " << row;
  }
}

INSTANTIATE_TEST_SUITE_P(All, OperationTable, testing::ValuesIn(kernel_operations()),
                         [](const auto& info) { return std::string(info.param); });

TEST(Operations, EachHasAKernelADefinitionAndThreeRows) {
  const auto with_kernel = cpu_operations();
  for (const std::string_view name : kernel_operations()) {
    EXPECT_EQ(std::count(with_kernel.begin(), with_kernel.end(), name), 1) << "CPU kernels of " << name;
    EXPECT_TRUE(reference::has_definition(name)) << name << " has no definition in tests/reference";
    const auto rows = std::count_if(operation_cases().begin(), operation_cases().end(),
                                    [&](const OperationCase& row) { return row.operation == name; });
    EXPECT_GE(rows, 3) << name << " in the operation test table";
  }
}

TEST(Operations, EveryRowAndKernelNamesAnOperation) {
  for (const OperationCase& row : operation_cases()) EXPECT_NE(find_op(row.operation), nullptr) << row.operation;
  for (const std::string_view name : cpu_operations()) EXPECT_NE(find_op(name), nullptr) << name;
}

}  // namespace
}  // namespace dml::test
