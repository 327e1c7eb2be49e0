#include "models/constants.h"

#include <algorithm>

#include "kernels/error.h"

namespace dml {

namespace {

/// Whether the first element equals the last: spares reading most tensors that are not uniform.
bool agrees_at_ends(const Value& value) {
  Shape at = value.shape;
  Shape one = value.shape;
  float first = 0;
  float last = 0;
  for (int dim = 0; dim < at.rank(); ++dim) {
    at[dim] = 0;
    one[dim] = 1;
  }
  value.source->read_f32(&first, at, one);
  for (int dim = 0; dim < at.rank(); ++dim) at[dim] = value.shape[dim] - 1;
  value.source->read_f32(&last, at, one);
  return first == last;
}

}  // namespace

bool is_known_constant(const Graph& graph, ValueId id) {
  return id != kNone && graph.value(id).role == Role::constant && graph.value(id).source != nullptr;
}

std::optional<float> uniform_value(const Graph& graph, ValueId id) {
  if (!is_known_constant(graph, id) || graph.shape(id).num_elements() == 0) return std::nullopt;
  if (!agrees_at_ends(graph.value(id))) return std::nullopt;
  const std::vector<float> elements = elements_of(graph, id);
  const bool is_uniform =
      std::all_of(elements.begin(), elements.end(), [&](float element) { return element == elements.front(); });
  return is_uniform ? std::optional(elements.front()) : std::nullopt;
}

std::vector<float> elements_of(const Graph& graph, ValueId id) {
  DML_ASSERT(is_known_constant(graph, id), "value '" + graph.value(id).name + "' is no known constant");
  std::vector<float> elements(static_cast<std::size_t>(graph.shape(id).num_elements()));
  graph.value(id).source->read_all_f32(elements.data());
  return elements;
}

}  // namespace dml
