#include "kernels/conv.h"

#include <stdexcept>

namespace dml {
namespace {

bool fits(const Shape& y, const Shape& x, const Shape& w, const ConvOptions& options) {
  if ((x.rank() != 3 && x.rank() != 4) || y.rank() != x.rank() || w.rank() != x.rank()) return false;
  if (options.group <= 0 || w[0] % options.group != 0) return false;
  if (y[0] != x[0] || x[1] != w[1] * options.group || y[1] != w[0]) return false;
  for (int dim = 2; dim < x.rank(); ++dim) {
    const auto side = static_cast<std::size_t>(dim - 2);
    const Window& window = options.window;
    const std::int64_t room =
        x[dim] + window.pads_begin[side] + window.pads_end[side] - 1 - (w[dim] - 1) * window.dilations[side];
    if (window.strides[side] <= 0 || y[dim] != (room < 0 ? 0 : room / window.strides[side] + 1)) return false;
  }
  return true;
}

}  // namespace

void check_conv(const Shape& y, const Shape& x, const Shape& w, const ConvOptions& options) {
  if (!fits(y, x, w, options)) fail_conv("shapes differ", y, x, w, options);
}

void fail_conv(const std::string& what, const Shape& y, const Shape& x, const Shape& w, const ConvOptions& options) {
  throw std::invalid_argument("[conv] " + what + ": y is " + y.to_string() + ", x is " + x.to_string() + ", w is " +
                              w.to_string() + ", group " + std::to_string(options.group));
}

}  // namespace dml
