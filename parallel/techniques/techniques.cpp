#include "parallel/techniques/techniques.h"

#include <fmt/format.h>

#include <utility>

#include "parallel/techniques/recomputation.h"

namespace dml {

std::string_view name_of(Recompute recompute) {
  switch (recompute) {
    case Recompute::none: return "none";
    case Recompute::attention: return "attention";
    case Recompute::full: return "full";
  }
  return "";
}

std::string Techniques::to_options() const {
  std::string text;
  const auto add = [&text](const std::string& option) { text += (text.empty() ? "" : " ") + option; };
  if (recompute != Recompute::none) add(fmt::format("--recompute {}", name_of(recompute)));
  if (sequence_parallel) add("--sequence-parallel");
  if (zero > 0) add(fmt::format("--zero {}", zero));
  if (dtype != DataType::f32) add(fmt::format("--dtype {}", name_of(dtype)));
  return text;
}

WeightBytes weight_bytes(const Techniques& techniques, double elems, int replicas, int states) {
  const auto f32_bytes = static_cast<double>(size_of(DataType::f32));
  const auto own = [&](bool shares) { return shares ? elems / replicas : elems; };
  const int kept = states + (techniques.dtype == DataType::f32 ? 0 : 1);
  return {.parameters = own(techniques.shares_parameters()) * static_cast<double>(size_of(techniques.dtype)),
          .gradients = own(techniques.shares_gradients()) * f32_bytes,
          .optimizer_states = own(techniques.shares_states()) * f32_bytes * kept};
}

WeightBytes held_weight_bytes(const Techniques& techniques, double elems, double bucket_elems, int replicas,
                              int states) {
  WeightBytes bytes = weight_bytes(techniques, elems, replicas, states);
  if (replicas == 1 || !techniques.shares_gradients()) return bytes;
  bytes.gradients += bucket_elems * static_cast<double>(size_of(DataType::f32));
  if (techniques.shares_parameters())
    bytes.parameters += 2 * bucket_elems * static_cast<double>(size_of(techniques.dtype));
  return bytes;
}

Graph with_techniques(Graph graph, const Techniques& techniques) {
  graph = with_recomputation(std::move(graph), techniques.recompute);
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    Value& value = graph.value(id);
    const bool is_used = value.role == Role::activation || value.role == Role::parameter;
    if (is_used && value.dtype == DataType::f32 && id != graph.loss) value.dtype = techniques.dtype;
  }
  return graph;
}

}  // namespace dml
