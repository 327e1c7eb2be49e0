// Pools. A window's taps are visited in row-major order, so the first maximum is the one that counts.
#include <limits>
#include <tuple>

#include "tests/reference/rules.h"

namespace dml::reference {
namespace {

/// Where a tap lies along the spatial dims; outside the input the pads begin, and behind them nothing.
struct Tap {
  Index place;        ///< in x, with sample and channel
  bool is_inside;     ///< of the input
  bool is_in_padded;  ///< of the padded input
};

/// body(index of y, tap) for every tap of every window over `x`.
template <typename Body>
void for_each_tap(const Call& call, const Shape& x, const Shape& y, const Body& body) {
  const auto spatial = static_cast<std::size_t>(x.rank() - 2);
  const Index strides = call.list("strides", spatial, 1);
  const Index pads = call.list("pads", 2 * spatial, 0);
  const Index dilations = call.list("dilations", spatial, 1);
  for_each(y, [&](const Index& in_y) {
    for_each(Shape(call.attrs().integers("kernel")), [&](const Index& offset) {
      Tap tap{{in_y[0], in_y[1]}, true, true};
      for (std::size_t dim = 0; dim < spatial; ++dim) {
        const std::int64_t extent = x[static_cast<int>(dim) + 2];
        const std::int64_t place = in_y[dim + 2] * strides[dim] + offset[dim] * dilations[dim] - pads[dim];
        tap.place.push_back(place);
        tap.is_inside = tap.is_inside && place >= 0 && place < extent;
        tap.is_in_padded = tap.is_in_padded && place < extent + pads[spatial + dim];
      }
      body(in_y, tap);
    });
  });
}

std::int64_t index_in_plane(const Shape& x, const Index& place) {
  std::int64_t index = 0;
  for (int dim = 2; dim < x.rank(); ++dim) index = index * x[dim] + place[static_cast<std::size_t>(dim)];
  return index;
}

void max_pool(const Call& call) {
  const Tensor64& x = call.in[0];
  const auto [y, where] = std::tie(call.out[0], call.out[1]);
  for (double& element : y.elements) element = -std::numeric_limits<double>::infinity();
  for (double& element : where.elements) element = -1;
  for_each_tap(call, x.shape, y.shape, [&](const Index& in_y, const Tap& tap) {
    if (!tap.is_inside || (at(x, tap.place) <= at(y, in_y) && at(where, in_y) >= 0)) return;
    at(y, in_y) = at(x, tap.place);
    at(where, in_y) = static_cast<double>(index_in_plane(x.shape, tap.place));
  });
}

void max_pool_grad(const Call& call) {
  const auto& [dy, where] = std::tie(call.in[0], call.in[1]);
  Tensor64& dx = call.out[0];
  const std::int64_t plane = dx.shape.product(2, dx.shape.rank());
  for_each(dy.shape, [&](const Index& i) {
    const auto in_plane = static_cast<std::int64_t>(at(where, i));
    if (in_plane < 0) return;
    dx.elements[static_cast<std::size_t>((i[0] * dx.shape[1] + i[1]) * plane + in_plane)] += at(dy, i);
  });
}

/// Number of taps that each window divides by.
Tensor64 counts_of(const Call& call, const Shape& x, const Shape& y) {
  const bool counts_pads = call.attrs().integer("count_include_pad") != 0;
  Tensor64 counts = Tensor64::zeros(y);
  for_each_tap(call, x, y, [&](const Index& in_y, const Tap& tap) {
    if (counts_pads ? tap.is_in_padded : tap.is_inside) at(counts, in_y) += 1;
  });
  return counts;
}

void average_pool(const Call& call) {
  const Tensor64& x = call.in[0];
  Tensor64& y = call.out[0];
  const Tensor64 counts = counts_of(call, x.shape, y.shape);
  for_each_tap(call, x.shape, y.shape, [&](const Index& in_y, const Tap& tap) {
    if (tap.is_inside) at(y, in_y) += at(x, tap.place) / at(counts, in_y);
  });
}

void average_pool_grad(const Call& call) {
  const Tensor64& dy = call.in[0];
  Tensor64& dx = call.out[0];
  const Tensor64 counts = counts_of(call, dx.shape, dy.shape);
  for_each_tap(call, dx.shape, dy.shape, [&](const Index& in_y, const Tap& tap) {
    if (tap.is_inside) at(dx, tap.place) += at(dy, in_y) / at(counts, in_y);
  });
}

}  // namespace

void add_pooling(Rules& rules) {
  rules["MaxPool"] = max_pool;
  rules["MaxPoolGrad"] = max_pool_grad;
  rules["AveragePool"] = average_pool;
  rules["AveragePoolGrad"] = average_pool_grad;
}

}  // namespace dml::reference
