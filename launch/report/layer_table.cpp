#include "launch/report/layer_table.h"

#include <fmt/format.h>

#include <map>
#include <vector>

#include "launch/terminal/number_text.h"
#include "launch/terminal/text_table.h"
#include "models/op.h"
#include "models/scope.h"

namespace dml {
namespace {

using Align = TextTable::Align;

struct LayerTotals {
  std::string name;
  std::int64_t nodes = 0;
  std::int64_t parameters = 0;
  Cost cost;
};

/// Totals by layer, in the order in which the graph comes to them.
std::vector<LayerTotals> totals_of(const Graph& graph) {
  std::vector<LayerTotals> layers;
  std::map<std::string, std::size_t> index;
  std::vector<bool> counted(static_cast<std::size_t>(graph.num_values()), false);
  const std::size_t common = common_components(graph);
  for (const Node& node : graph.nodes()) {
    const std::string name = layer_of(node.scope, common);
    const auto [at, is_first] = index.emplace(name, layers.size());
    if (is_first) layers.push_back({name, 0, 0, {}});
    LayerTotals& layer = layers[at->second];
    const Cost cost = cost_of(graph, node);
    ++layer.nodes;
    layer.cost.flops += cost.flops;
    layer.cost.bytes += cost.bytes;
    for (const ValueId id : node.inputs) {
      if (id == kNone || graph.value(id).role != Role::parameter || counted[static_cast<std::size_t>(id)]) continue;
      counted[static_cast<std::size_t>(id)] = true;
      layer.parameters += graph.shape(id).num_elements();
    }
  }
  return layers;
}

}  // namespace

std::string layer_table(const Graph& graph, Style style) {
  TextTable table({{"layer", Align::left}, {"operations"}, {"parameters"}, {"FLOP"}, {"bytes"}});
  LayerTotals sum{"total", 0, 0, {}};
  const auto add = [&](const LayerTotals& layer) {
    table.add_row({layer.name, std::to_string(layer.nodes), grouped_text(layer.parameters),
                   scaled_text(layer.cost.flops), bytes_text(static_cast<std::int64_t>(layer.cost.bytes))});
  };
  for (const LayerTotals& layer : totals_of(graph)) {
    add(layer);
    sum.nodes += layer.nodes;
    sum.parameters += layer.parameters;
    sum.cost.flops += layer.cost.flops;
    sum.cost.bytes += layer.cost.bytes;
  }
  add(sum);
  return style.heading("One forward pass, by layer") + "\n" + table.to_string(style);
}

}  // namespace dml
