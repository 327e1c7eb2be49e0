// Lowering of matrix products and reductions. M rows, N columns, K summed over.
#include "models/onnx/fold/shape_rules.h"
#include "models/onnx/lower/lowering.h"

namespace dml {
namespace {

Attributes shape_attribute(const Shape& shape) { return Attributes().set("shape", shape.to_vector()); }

}  // namespace

// A vector is a matrix of one row (left) or one column (right), which the result then loses.
void lower_matmul(Lowering& lowering) {
  ValueId a = lowering.input(0);
  ValueId b = lowering.input(1);
  const Shape a_shape = lowering.shape(0);
  const Shape b_shape = lowering.shape(1);
  if (a_shape.rank() == 0 || b_shape.rank() == 0) lowering.node.fail("an input is a scalar");
  if (a_shape.rank() > 1 && b_shape.rank() > 1) {
    lowering.finish("MatMul", {a, b});
    return;
  }
  if (a_shape.rank() == 1) a = lowering.emit("Reshape", {a}, shape_attribute({1, a_shape[0]}), "row");
  if (b_shape.rank() == 1) b = lowering.emit("Reshape", {b}, shape_attribute({b_shape[0], 1}), "column");
  const ValueId product = lowering.emit("MatMul", {a, b}, {}, "product");
  const Shape wide = lowering.graph.shape(product);
  Shape result;
  for (int dim = 0; dim < wide.rank(); ++dim) {
    const bool is_row = dim == wide.rank() - 2 && a_shape.rank() == 1;
    const bool is_column = dim == wide.rank() - 1 && b_shape.rank() == 1;
    if (!is_row && !is_column) result.push_back(wide[dim]);
  }
  lowering.finish("Reshape", {product}, shape_attribute(result));
}

// y = alpha · op(A) op(B) + beta · C, C broadcast to M x N.
void lower_gemm(Lowering& lowering) {
  if (lowering.shape(0).rank() != 2 || lowering.shape(1).rank() != 2) {
    lowering.node.fail("its inputs are " + lowering.shape(0).to_string() + " and " + lowering.shape(1).to_string() +
                       ", wants matrices");
  }
  const OnnxNode& node = lowering.node;
  Attributes attrs;
  if (node.integer("transA", 0) != 0) attrs.set("trans_a", std::int64_t{1});
  if (node.integer("transB", 0) != 0) attrs.set("trans_b", std::int64_t{1});
  if (node.real("alpha", 1) != 1) attrs.set("alpha", node.real("alpha", 1));
  const double beta = node.real("beta", 1);
  if (!lowering.has_input(2) || beta == 0) {
    lowering.finish("MatMul", {lowering.input(0), lowering.input(1)}, std::move(attrs));
    return;
  }
  const ValueId product = lowering.emit("MatMul", {lowering.input(0), lowering.input(1)}, std::move(attrs), "product");
  ValueId bias = lowering.input(2);
  if (beta != 1) bias = lowering.emit("Mul", {bias, lowering.constant("beta", beta)}, {}, "bias");
  lowering.finish("Add", {product, bias});
}

void lower_reduce(Lowering& lowering) {
  const auto given = lowering.integers(1, lowering.node.integers("axes"));
  if (given.empty() && lowering.node.integer("noop_with_empty_axes", 0) != 0) return lower_identity(lowering);
  lowering.finish(lowering.node.type(), {lowering.input(0)},
                  Attributes()
                      .set("axes", normalize_axes(lowering.shape(0), given))
                      .set("keepdims", lowering.node.integer("keepdims", 1)));
}

}  // namespace dml
