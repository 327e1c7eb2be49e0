#include "parallel/cost/size_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace dml {
namespace {

[[noreturn]] void fail(const std::string& what) { throw std::invalid_argument("[size table] " + what); }

bool is_positive(double number) { return std::isfinite(number) && number > 0; }

/// Where a size lies on an axis: between points `below` and below + 1, at `part` of their distance.
struct Position {
  std::size_t below = 0;
  double part = 0;
};

Position position_on(const std::vector<double>& axis, double size) {
  if (size <= axis.front()) return {0, 0};
  if (size >= axis.back()) return {axis.size() - 1, 0};
  const auto above = static_cast<std::size_t>(std::upper_bound(axis.begin(), axis.end(), size) - axis.begin());
  return {above - 1, std::log(size / axis[above - 1]) / std::log(axis[above] / axis[above - 1])};
}

/// The logarithm of the seconds, interpolated over the axes from `axis` on; `offset` is the place on those before.
double log_seconds(const SizeTable& table, std::span<const double> sizes, std::size_t axis, std::size_t offset) {
  if (axis == table.axes.size()) return std::log(table.seconds[offset]);
  const Position at = position_on(table.axes[axis], sizes[axis]);
  const std::size_t below = offset * table.axes[axis].size() + at.below;
  const double low = log_seconds(table, sizes, axis + 1, below);
  return at.part == 0 ? low : std::lerp(low, log_seconds(table, sizes, axis + 1, below + 1), at.part);
}

}  // namespace

void SizeTable::check() const {
  if (axes.empty()) fail("no axes");
  std::size_t points = 1;
  for (const std::vector<double>& axis : axes) {
    const bool ascends = std::adjacent_find(axis.begin(), axis.end(), std::greater_equal<>()) == axis.end();
    if (axis.empty() || !ascends || !std::all_of(axis.begin(), axis.end(), is_positive))
      fail(fmt::format("the axis [{}] should ascend from above 0", fmt::join(axis, ", ")));
    points *= axis.size();
  }
  if (seconds.size() != points) fail(fmt::format("{} seconds for a grid of {} points", seconds.size(), points));
  if (!spread.empty() && spread.size() != points)
    fail(fmt::format("{} spreads for a grid of {} points", spread.size(), points));
  const auto wrong = std::find_if_not(seconds.begin(), seconds.end(), is_positive);
  if (wrong != seconds.end()) fail(fmt::format("{} seconds; they should be above 0", *wrong));
}

double SizeTable::seconds_at(std::span<const double> sizes) const {
  double beyond = 1;
  for (std::size_t axis = 0; axis < axes.size(); ++axis) beyond *= std::max(1.0, sizes[axis] / axes[axis].back());
  return beyond * std::exp(log_seconds(*this, sizes, 0, 0));
}

}  // namespace dml
