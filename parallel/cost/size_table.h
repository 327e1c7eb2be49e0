// Seconds by size: measured at the points of a regular grid, interpolated between them.
#pragma once

#include <span>
#include <vector>

namespace dml {

/// One axis per size (work alone, or M, N and K of a product, ...), the seconds row-major over them.
struct SizeTable {
  std::vector<std::vector<double>> axes;  ///< each ascending and above 0
  std::vector<double> seconds;            ///< at each point of the grid, above 0
  std::vector<double> spread;             ///< of the repetitions at each point, relative to the seconds; may be empty

  /// Throws std::invalid_argument where axes and seconds do not fit together.
  void check() const;
  /// Multilinear between the logarithms. Above an axis' last point the rate stays that of the last point, below its
  /// first one the seconds stay. `sizes` are as many as axes and above 0; the table is one that check accepts.
  double seconds_at(std::span<const double> sizes) const;
};

}  // namespace dml
