// Linear layers with ReLU between them, initialised as PyTorch does.
#include <fmt/format.h>

#include "models/zoo/model_builder.h"

namespace dml {

ZooModel make_mlp(const ModelSpec& spec) {
  constexpr std::int64_t kMost = 1 << 24;
  ModelBuilder builder(spec.name());
  std::int64_t width = spec.integer("in", 1, kMost);
  std::vector<std::int64_t> widths = spec.sizes("hidden", kMost);
  widths.push_back(spec.integer("out", 1, kMost));
  std::string x = builder.input("features", DataType::f32, {width});
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const std::string scope = fmt::format("/layers.{}", i);
    x = builder.gemm(scope, x, width, widths[i]);
    if (i + 1 < widths.size()) x = builder.node("Relu", scope, {x});
    width = widths[i];
  }
  builder.output(x, "logits", {width});
  return builder.take();
}

}  // namespace dml
