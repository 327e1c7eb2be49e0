#include "models/ops/window.h"

namespace dml::rules {
namespace {

std::vector<std::int64_t> list(const Node& node, std::string_view key, std::size_t count, std::int64_t otherwise) {
  const auto given = node.attrs.integers(key);
  if (given.empty()) return std::vector<std::int64_t>(count, otherwise);
  if (given.size() != count) {
    fail(node, std::string(key) + " has " + std::to_string(given.size()) + " numbers, wants " + std::to_string(count));
  }
  return {given.begin(), given.end()};
}

void require_at_least(const Node& node, std::string_view key, std::span<const std::int64_t> numbers,
                      std::int64_t least) {
  for (const std::int64_t number : numbers) {
    require(number >= least, node, std::string(key) + " holds " + std::to_string(number));
  }
}

}  // namespace

// With ceil_mode a last, partial window counts if it begins inside the input or its left padding, as in PyTorch.
std::int64_t Window::places(std::int64_t extent, int dim) const {
  const auto i = static_cast<std::size_t>(dim);
  const std::int64_t room = extent + pads_begin[i] + pads_end[i] - (dilations[i] * (kernel[i] - 1) + 1);
  if (room < 0) return 0;
  if (!ceil_mode) return room / strides[i] + 1;
  const std::int64_t count = (room + strides[i] - 1) / strides[i] + 1;
  return (count - 1) * strides[i] >= extent + pads_begin[i] ? count - 1 : count;
}

Window window_of(const Node& node, const Shape& x, std::span<const std::int64_t> kernel) {
  if (x.rank() < 3 || x.rank() > 4) fail(node, "x is " + x.to_string() + ", wants one or two spatial dims");
  const auto spatial = static_cast<std::size_t>(x.rank() - 2);
  if (kernel.size() != spatial) {
    fail(node, "kernel has " + std::to_string(kernel.size()) + " dims, x is " + x.to_string());
  }
  Window window;
  window.kernel.assign(kernel.begin(), kernel.end());
  window.strides = list(node, "strides", spatial, 1);
  window.dilations = list(node, "dilations", spatial, 1);
  const auto pads = list(node, "pads", 2 * spatial, 0);
  window.pads_begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(spatial));
  window.pads_end.assign(pads.begin() + static_cast<std::ptrdiff_t>(spatial), pads.end());
  window.ceil_mode = node.attrs.integer("ceil_mode") != 0;
  require_at_least(node, "kernel", window.kernel, 1);
  require_at_least(node, "strides", window.strides, 1);
  require_at_least(node, "dilations", window.dilations, 1);
  require_at_least(node, "pads", pads, 0);
  return window;
}

Shape slid_over(const Node& node, const Window& window, const Shape& x, std::int64_t channels) {
  Shape y{x[0], channels};
  for (int dim = 2; dim < x.rank(); ++dim) {
    y.push_back(window.places(x[dim], dim - 2));
    if (y.back() < 1) fail(node, "the kernel does not fit into x " + x.to_string());
  }
  return y;
}

}  // namespace dml::rules
