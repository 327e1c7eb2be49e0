// Rows of operations element by element, and the whole table.
#include "tests/runtime/operation_cases.h"

#include <array>
#include <iterator>

namespace dml::test {
namespace {

void append(OperationCases& cases, OperationCases more) {
  cases.insert(cases.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

// Lengths around the widths of vector registers, and one that is cut into chunks.
const std::array kLengths = {Shape{1}, Shape{17}, Shape{3, 5, 7}, Shape{8193}, Shape{2, 0, 3}, Shape{}};

struct Domain {
  std::string_view operation;
  double low, high;
};

OperationCases unary_cases() {
  OperationCases cases;
  for (const auto& [operation, low, high] :
       {Domain{"Relu", -2, 2}, Domain{"Sigmoid", -30, 30}, Domain{"Tanh", -6, 6}, Domain{"Erf", -4, 4},
        Domain{"Exp", -10, 10}, Domain{"Log", 1e-3, 50}, Domain{"Sqrt", 0, 9}, Domain{"Neg", -2, 2},
        Domain{"Reciprocal", 0.1, 4}, Domain{"Abs", -2, 2}}) {
    for (const Shape& shape : kLengths) cases.push_back({operation, {real(shape, low, high)}});
  }
  for (const std::string_view operation : {"Relu", "Neg", "Abs"}) {
    cases.push_back({operation, {whole({40}, -2, 2, DataType::f32)}, {}, kExact});
  }
  for (const std::string_view operation : {"Neg", "Abs"})
    cases.push_back({operation, {whole({33}, -9, 9)}, {}, kExact});
  for (const Shape& shape : kLengths) {
    for (const char* form : {"none", "tanh"}) {
      cases.push_back({"Gelu", {real(shape, -5, 5)}, with({{"approximate", form}})});
      cases.push_back({"GeluGrad", {real(shape), real(shape, -5, 5)}, with({{"approximate", form}})});
    }
    cases.push_back({"Not", {flags(shape)}, {}, kExact});
    for (const std::string_view operation : {"ReluGrad", "SigmoidGrad", "TanhGrad"}) {
      cases.push_back({operation, {real(shape), real(shape)}});
    }
  }
  cases.push_back({"ReluGrad", {real({40}), whole({40}, 0, 2, DataType::f32)}, {}, kExact});
  return cases;
}

OperationCases clip_cases() {
  OperationCases cases;
  for (const Attributes& bounds :
       {with({{"min", -0.5}, {"max", 0.25}}), with({{"min", 0.0}}), with({{"max", 1.0}}), with({})}) {
    const Operand x = real({5, 13}, -2, 2);
    const Operand at_bounds = whole({37}, -2, 2, DataType::f32);
    cases.push_back({"Clip", {x}, bounds, kExact});
    cases.push_back({"Clip", {at_bounds}, bounds, kExact});
    cases.push_back({"ClipGrad", {real({5, 13}), x}, bounds, kExact});
    cases.push_back({"ClipGrad", {real({37}), at_bounds}, bounds, kExact});
  }
  return cases;
}

/// Pairs of shapes: alike, with a scalar, with a row, with a column, both ways, with more dims.
struct Pair {
  Shape a, b;
};
const std::array kPairs = {Pair{{3, 17}, {3, 17}},
                           Pair{{37}, {}},
                           Pair{{}, {4, 9}},
                           Pair{{4, 33}, {33}},
                           Pair{{4, 33}, {4, 1}},
                           Pair{{5, 1}, {1, 19}},
                           Pair{{2, 3, 5}, {3, 1}},
                           Pair{{1, 3, 1, 7}, {2, 1, 5, 1}},
                           Pair{{0, 4}, {4}},
                           Pair{{129, 65}, {129, 65}},
                           Pair{{}, {}}};

OperationCases binary_cases() {
  OperationCases cases;
  for (const auto& [a, b] : kPairs) {
    for (const std::string_view operation : {"Add", "Sub", "Mul"}) {
      cases.push_back({operation, {real(a), real(b)}});
      cases.push_back({operation, {whole(a, -9, 9), whole(b, -9, 9)}, {}, kExact});
    }
    cases.push_back({"Div", {real(a), real(b, 0.2, 3)}});
    cases.push_back({"Div", {whole(a, -20, 20), whole(b, 1, 6)}, {}, kExact});
    cases.push_back({"Pow", {real(a, 0.1, 3), real(b, -3, 3)}});
    cases.push_back({"Pow", {whole(a, -3, 3), whole(b, 0, 4)}, {}, kExact});
    for (const std::string_view operation : {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}) {
      for (const DataType type : {DataType::f32, DataType::i64}) {
        cases.push_back({operation, {whole(a, -1, 1, type), whole(b, -1, 1, type)}, {}, kExact});
      }
    }
    cases.push_back({"Equal", {flags(a), flags(b)}, {}, kExact});
    for (const std::string_view operation : {"And", "Or"}) {
      cases.push_back({operation, {flags(a), flags(b)}, {}, kExact});
    }
  }
  for (const double exponent : {2.0, 3.0, 0.0, 1.0, -1.0, -2.0}) {
    cases.push_back({"Pow", {real({21}, -2, -0.2), whole({}, exponent, exponent, DataType::f32)}});
  }
  cases.push_back({"Pow", {real({21}, 0, 4), real({}, 0.5, 0.5)}});
  return cases;
}

OperationCases choice_cases() {
  return {{"Where", {flags({4, 17}), real({4, 17}), real({4, 17})}, {}, kExact},
          {"Where", {flags({1, 17}), real({4, 1}), real({})}, {}, kExact},
          {"Where", {flags({}), real({3}), real({2, 3})}, {}, kExact},
          {"Where", {flags({5, 1, 3}), whole({2, 1}, -5, 5), whole({3}, -5, 5)}, {}, kExact},
          {"Where", {flags({7}), flags({7}), flags({})}, {}, kExact},
          {"Where", {flags({0, 2}), real({2}), real({0, 1})}, {}, kExact},
          {"Cast", {real({19}, -3, 3)}, with({{"to", "i64"}}), kExact},
          {"Cast", {whole({19}, -3, 3)}, with({{"to", "f32"}}), kExact},
          {"Cast", {whole({19}, -1, 1, DataType::f32)}, with({{"to", "bool"}}), kExact},
          {"Cast", {flags({3, 3})}, with({{"to", "f32"}}), kExact},
          {"Cast", {real({3, 3})}, with({{"to", "f32"}}), kExact},
          {"Cast", {whole({5}, -3, 3)}, with({{"to", "i32"}}), kExact}};
}

}  // namespace

Attributes with(std::initializer_list<std::pair<const char*, Attributes::Attribute>> pairs) {
  Attributes attrs;
  for (const auto& [key, value] : pairs) attrs.set(key, value);
  return attrs;
}

OperationCases elementwise_cases() {
  OperationCases cases = unary_cases();
  append(cases, clip_cases());
  append(cases, binary_cases());
  append(cases, choice_cases());
  return cases;
}

const OperationCases& operation_cases() {
  static const OperationCases cases = [] {
    OperationCases all;
    for (const auto family : {elementwise_cases, linear_cases, window_cases, normalization_cases, layout_cases,
                              attention_cases, loss_cases}) {
      append(all, family());
    }
    return all;
  }();
  return cases;
}

}  // namespace dml::test
