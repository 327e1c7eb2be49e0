#include "models/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>

namespace dml {

double learning_rate(std::string_view kind, double base, double least, std::int64_t warmup, std::int64_t total,
                     std::int64_t step) {
  if (kind != "constant" && kind != "cosine" && kind != "linear") {
    throw std::invalid_argument("[learning_rate] schedule '" + std::string(kind) +
                                "' is none of constant, cosine, linear");
  }
  if (step < warmup) return base * static_cast<double>(step + 1) / static_cast<double>(warmup);
  if (kind == "constant") return base;
  const auto span = static_cast<double>(std::max<std::int64_t>(total - warmup, 1));
  const double progress = std::min(static_cast<double>(step - warmup) / span, 1.0);
  const double share = kind == "cosine" ? 0.5 * (1 + std::cos(std::numbers::pi * progress)) : 1 - progress;
  return least + (base - least) * share;
}

}  // namespace dml
