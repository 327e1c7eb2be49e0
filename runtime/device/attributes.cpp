#include "runtime/device/attributes.h"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>

namespace dml {
namespace {

/// `otherwise` where the attribute is absent.
Window::Extents extents_of(std::span<const std::int64_t> given, std::int64_t otherwise) {
  Window::Extents extents{otherwise, otherwise};
  std::copy_n(given.begin(), std::min<std::size_t>(given.size(), 2), extents.begin());
  return extents;
}

Window window_of(const Attributes& attrs) {
  const auto pads = attrs.integers("pads");
  const auto half = pads.size() / 2;
  Window window;
  window.kernel = extents_of(attrs.integers("kernel"), 1);
  window.strides = extents_of(attrs.integers("strides"), 1);
  window.pads_begin = extents_of(pads.first(half), 0);
  window.pads_end = extents_of(pads.subspan(half), 0);
  window.dilations = extents_of(attrs.integers("dilations"), 1);
  return window;
}

/// One spatial dim becomes the second of two.
void make_flat(Window::Extents& extents, std::int64_t outer) { extents = {outer, extents[0]}; }

}  // namespace

MatMulOptions matmul_options(const Attributes& attrs) {
  return {.trans_a = attrs.integer("trans_a") != 0,
          .trans_b = attrs.integer("trans_b") != 0,
          .accumulate = attrs.integer("accumulate") != 0,
          .alpha = static_cast<float>(attrs.real("alpha", 1))};
}

ConvOptions conv_options(const Attributes& attrs) { return {window_of(attrs), attrs.integer("group", 1)}; }

PoolGeometry pool_geometry(const Attributes& attrs, const Shape& x, const Shape& y) {
  PoolGeometry geometry;
  geometry.window = window_of(attrs);
  geometry.planes = x[0] * x[1];
  geometry.count_include_pad = attrs.integer("count_include_pad") != 0;
  if (x.rank() == 4) {
    geometry.in = {x[2], x[3]};
    geometry.out = {y[2], y[3]};
    return geometry;
  }
  geometry.in = {1, x[2]};
  geometry.out = {1, y[2]};
  for (auto* extents : {&geometry.window.kernel, &geometry.window.strides, &geometry.window.dilations}) {
    make_flat(*extents, 1);
  }
  for (auto* extents : {&geometry.window.pads_begin, &geometry.window.pads_end}) make_flat(*extents, 0);
  return geometry;
}

PoolGeometry average_pool_geometry(const Attributes& attrs, const Shape& x, const Shape& y) {
  for (const std::int64_t dilation : attrs.integers("dilations")) {
    if (dilation != 1) throw std::invalid_argument("[average_pool] dilation " + std::to_string(dilation));
  }
  return pool_geometry(attrs, x, y);
}

BatchNormExtents batch_norm_extents(const Shape& x) { return {x[0], x[1], x.product(2, x.rank())}; }

GatherShape gather_shape(const Attributes& attrs, const Shape& table, const Shape& indices) {
  const int axis = table.normalize(attrs.integer("axis", 0));
  GatherShape shape;
  shape.outer = table.product(0, axis);
  shape.rows = table[axis];
  shape.inner = table.product(axis + 1, table.rank());
  shape.indices = indices.num_elements();
  if (attrs.has("offset")) {
    shape.offset = attrs.integer("offset");
    shape.whole = attrs.integer("whole");
  }
  return shape;
}

ShardedDim sharded_dim(const Attributes& attrs, const Shape& whole) {
  return {whole.normalize(attrs.integer("dim")), attrs.integer("outer", 1), attrs.integer("units"),
          attrs.integer("inner", 1)};
}

}  // namespace dml
