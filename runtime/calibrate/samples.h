// What is said of repeated measurements.
#pragma once

#include <vector>

namespace dml {

/// The middle one, the lower of two; 0 where there is none.
double median(std::vector<double> samples);
/// The mean of those that are not over twice the median: these were disturbed. 0 where there is none.
double undisturbed_mean(const std::vector<double>& samples);
/// Half of the distance between the quartiles, relative to the median.
double relative_spread(std::vector<double> samples);

}  // namespace dml
