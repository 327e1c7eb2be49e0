// Lowering of convolutions and pooling: auto_pad becomes pads. N batch, C channels, then the spatial dims.
#include "models/onnx/fold/shape_rules.h"
#include "models/onnx/lower/lowering.h"

namespace dml {
namespace {

using Extents = std::vector<std::int64_t>;

Extents list_or(const OnnxNode& node, std::string_view attribute, std::size_t count, std::int64_t otherwise) {
  Extents list = node.integers(attribute);
  if (list.empty()) list.assign(count, otherwise);
  if (list.size() != count) {
    node.fail(std::string(attribute) + " has " + std::to_string(list.size()) + " numbers, wants " +
              std::to_string(count));
  }
  for (const std::int64_t extent : list) {
    if (extent < 0 || extent > std::int64_t{1} << 20) {
      node.fail(std::string(attribute) + " holds " + std::to_string(extent));
    }
  }
  return list;
}

/// Begins, then ends. SAME_UPPER and SAME_LOWER make ceil(extent / stride) places; the odd one goes to the end or
/// begin.
Extents pads_of(const OnnxNode& node, const Shape& x, const Extents& kernel, const Extents& strides,
                const Extents& dilations) {
  const std::string mode = node.text("auto_pad", "NOTSET");
  const std::size_t spatial = kernel.size();
  if (mode == "NOTSET") return list_or(node, "pads", 2 * spatial, 0);
  Extents pads(2 * spatial, 0);
  if (mode == "VALID") return pads;
  if (mode != "SAME_UPPER" && mode != "SAME_LOWER") node.fail("auto_pad is '" + mode + "'");
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::int64_t extent = x[static_cast<int>(i) + 2];
    const std::int64_t places = (extent + strides[i] - 1) / strides[i];
    const std::int64_t covered = (places - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1;
    const std::int64_t pad = std::max<std::int64_t>(0, covered - extent);
    pads[i] = mode == "SAME_UPPER" ? pad / 2 : pad - pad / 2;
    pads[spatial + i] = pad - pads[i];
  }
  return pads;
}

/// strides, pads and dilations of a window over x.
Attributes window_attributes(const OnnxNode& node, const Shape& x, const Extents& kernel) {
  const std::size_t spatial = kernel.size();
  if (x.rank() != static_cast<int>(spatial) + 2) {
    node.fail("its input is " + x.to_string() + ", its kernel has " + std::to_string(spatial) + " dims");
  }
  const Extents strides = list_or(node, "strides", spatial, 1);
  const Extents dilations = list_or(node, "dilations", spatial, 1);
  for (const std::int64_t stride : strides) {
    if (stride == 0) node.fail("strides holds 0");
  }
  return Attributes()
      .set("strides", strides)
      .set("pads", pads_of(node, x, kernel, strides, dilations))
      .set("dilations", dilations);
}

Attributes pool_attributes(const OnnxNode& node, const Shape& x) {
  const Extents kernel = list_or(node, "kernel_shape", static_cast<std::size_t>(std::max(0, x.rank() - 2)), 0);
  return window_attributes(node, x, kernel).set("kernel", kernel).set("ceil_mode", node.integer("ceil_mode", 0));
}

}  // namespace

void lower_conv(Lowering& lowering) {
  const Shape weights = lowering.shape(1);
  if (weights.rank() < 3) lowering.node.fail("its weights are " + weights.to_string());
  const Extents kernel(weights.begin() + 2, weights.end());
  Attributes attrs = window_attributes(lowering.node, lowering.shape(0), kernel);
  attrs.set("group", lowering.node.integer("group", 1));
  lowering.finish("Conv", {lowering.input(0), lowering.input(1), lowering.optional_input(2)}, std::move(attrs));
}

void lower_max_pool(Lowering& lowering) {
  if (lowering.node.has_output(1)) lowering.node.fail("its indices are read, which is not supported");
  lowering.finish("MaxPool", {lowering.input(0)}, pool_attributes(lowering.node, lowering.shape(0)));
}

void lower_average_pool(Lowering& lowering) {
  Attributes attrs = pool_attributes(lowering.node, lowering.shape(0));
  for (const std::int64_t dilation : attrs.integers("dilations")) {
    if (dilation != 1) lowering.node.fail("dilations other than 1 are not supported");
  }
  attrs.set("count_include_pad", lowering.node.integer("count_include_pad", 0));
  lowering.finish("AveragePool", {lowering.input(0)}, std::move(attrs));
}

void lower_global_average_pool(Lowering& lowering) {
  Extents axes;
  for (int dim = 2; dim < lowering.shape(0).rank(); ++dim) axes.push_back(dim);
  if (axes.empty()) lowering.node.fail("its input " + lowering.shape(0).to_string() + " has no spatial dims");
  lowering.finish("ReduceMean", {lowering.input(0)}, Attributes().set("axes", axes).set("keepdims", std::int64_t{1}));
}

}  // namespace dml
