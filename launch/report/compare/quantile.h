// A quantile of measured values, for reports.
#pragma once

#include <algorithm>
#include <vector>

namespace dml {

/// The value at `part` (0 to 1) of the values in order; 0 where there are none.
inline double quantile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

}  // namespace dml
