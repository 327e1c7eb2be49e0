#include "parallel/plan/weight_exchange.h"

#include <algorithm>

namespace dml {

double WeightExchange::gradient_sum(double bytes) const {
  return seconds_of(hardware_, scatters() ? CommKind::reduce_scatter : CommKind::all_reduce, bytes, replicas());
}

double WeightExchange::weight_bytes() const {
  return weights_.elems * static_cast<double>(size_of(layout_.techniques.dtype));
}

double WeightExchange::updated_elems() const { return scatters() ? weights_.elems / layout_.d : weights_.elems; }

double WeightExchange::exposed_sums(double last_pass) const {
  const auto count = static_cast<double>(weights_.buckets.size());
  double free = 0;
  double total = 0;
  for (std::size_t bucket = 0; bucket < weights_.buckets.size(); ++bucket) {
    const double ready = last_pass * static_cast<double>(bucket + 1) / count;
    const double seconds = gradient_sum(weights_.buckets[bucket]);
    free = std::max(free, ready) + seconds;
    total += seconds;
  }
  double exposed = std::max(0.0, free - last_pass);
  if (layout_.techniques.shares_gradients()) exposed += std::max(0.0, total - last_pass) * (layout_.microbatches - 1);
  for (const auto& [bytes, positions] : weights_.tied_buckets) {
    exposed += seconds_of(hardware_, CommKind::all_reduce, bytes, {positions, layout_.t});
    exposed += gradient_sum(bytes);
  }
  for (const double bytes : weights_.last_buckets)
    exposed += seconds_of(hardware_, CommKind::all_reduce, bytes, {layout_.t, 1}) + gradient_sum(bytes);
  return exposed;
}

double WeightExchange::gather_behind_update() const {
  if (!scatters() || layout_.techniques.shares_parameters()) return 0;
  return seconds_of(hardware_, CommKind::all_gather, weight_bytes(), replicas());
}

double WeightExchange::gather_of_pass() const {
  if (!layout_.techniques.shares_parameters()) return 0;
  return seconds_of(hardware_, CommKind::all_gather, weight_bytes() / layout_.chunks, replicas());
}

double WeightExchange::moved_bytes() const {
  double bytes = 0;
  for (const auto& [tied, positions] : weights_.tied_buckets) bytes += positions > 1 ? tied : 0;
  for (const double last : weights_.last_buckets) bytes += last;
  if (layout_.d == 1) return bytes;
  const int sums = layout_.techniques.shares_gradients() ? layout_.microbatches : 1;
  for (const double bucket : weights_.buckets) bytes += sums * bucket;
  for (const auto& [tied, positions] : weights_.tied_buckets) bytes += tied;
  for (const double last : weights_.last_buckets) bytes += last;
  if (layout_.techniques.shares_parameters()) return bytes + 2 * layout_.microbatches * weight_bytes();
  return bytes + (scatters() ? weight_bytes() : 0);
}

}  // namespace dml
