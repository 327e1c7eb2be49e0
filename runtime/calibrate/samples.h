// What is said of repeated measurements.
#pragma once

#include <vector>

namespace dml {

/// The middle one, the lower of two; 0 where there is none.
double median(std::vector<double> samples);
/// The lower quartile; 0 where there is none. Of times on a machine that others use too: what disturbs only adds.
double lower_quartile(std::vector<double> samples);
/// Half of the distance between the quartiles, relative to the median.
double relative_spread(std::vector<double> samples);

}  // namespace dml
