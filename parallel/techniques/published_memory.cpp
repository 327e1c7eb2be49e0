// s sequence, b microbatch, h hidden, a heads, as the paper calls them.
#include "parallel/techniques/published_memory.h"

#include <algorithm>

namespace dml {
namespace {

double layer_bytes(const TransformerRun& run, const Techniques& techniques) {
  const auto h = static_cast<double>(run.hidden);
  const auto s = static_cast<double>(run.sequence);
  const double sbh = s * static_cast<double>(run.microbatch) * h;
  const double spread = techniques.sequence_parallel ? run.t : 1;  // what only sequence parallelism divides
  if (techniques.recompute == Recompute::full) return 2 * sbh / spread;
  const double scores = techniques.recompute == Recompute::none ? 5 * static_cast<double>(run.heads) * s / h : 0;
  return sbh * (10 / spread + (24 + scores) / run.t);
}

/// Microbatches whose activations the first position keeps, in whole passes over all its layers.
double microbatches_kept(const TransformerRun& run) {
  const double kept = std::min(run.p, run.microbatches);
  return run.chunks > 1 ? kept * (1 + (run.p - 1.0) / (1.0 * run.p * run.chunks)) : kept;
}

}  // namespace

double published_activation_bytes(const TransformerRun& run, const Techniques& techniques) {
  const double layers = static_cast<double>(run.layers) / run.p;
  return layer_bytes(run, techniques) * layers * microbatches_kept(run);
}

double published_weight_bytes(const TransformerRun& run) {
  constexpr double kParametersOfLayer = 12;
  constexpr int kAdamStates = 2;
  const auto h = static_cast<double>(run.hidden);
  const double elems = kParametersOfLayer * h * h * static_cast<double>(run.layers) / run.t / run.p;
  return weight_bytes({.dtype = DataType::bf16}, elems, 1, kAdamStates).total();
}

}  // namespace dml
