#include "runtime/calibrate/samples.h"

#include <algorithm>
#include <cstddef>

namespace dml {
namespace {

/// The sample with `part` of the others below it.
double quantile(std::vector<double>& samples, double part) {
  const auto place = static_cast<std::ptrdiff_t>(part * static_cast<double>(samples.size() - 1));
  std::nth_element(samples.begin(), samples.begin() + place, samples.end());
  return samples[static_cast<std::size_t>(place)];
}

}  // namespace

double median(std::vector<double> samples) { return samples.empty() ? 0 : quantile(samples, 0.5); }

double undisturbed_mean(const std::vector<double>& samples) {
  const double most = 2 * median(samples);
  double sum = 0;
  int count = 0;
  for (const double sample : samples) {
    if (sample > most) continue;
    sum += sample;
    ++count;
  }
  return count == 0 ? 0 : sum / count;
}

double relative_spread(std::vector<double> samples) {
  if (samples.empty()) return 0;
  const double middle = quantile(samples, 0.5);
  return (quantile(samples, 0.75) - quantile(samples, 0.25)) / (2 * middle);
}

}  // namespace dml
