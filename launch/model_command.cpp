#include "launch/model_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "launch/report/layer_table.h"
#include "launch/report/text_table.h"
#include "models/zoo/zoo.h"
#include "runtime/shards.h"

namespace dml {
namespace {

using Align = TextTable::Align;

std::string dims_text(const OnnxInput& input) {
  std::vector<std::string> dims;
  dims.reserve(input.dims.size());
  for (const OnnxDim& dim : input.dims) dims.push_back(dim.name.empty() ? std::to_string(dim.extent) : dim.name);
  return fmt::format("{} {}[{}]", input.name, name_of(input.dtype), fmt::join(dims, ", "));
}

std::shared_ptr<const OnnxModel> load(const Config& config) {
  return is_builtin(config.model.source) ? load_builtin(config.model.source, config.seed)
                                         : OnnxModel::load(config.model.source);
}

bool all_supported(const OnnxModel& model) {
  const auto operations = model.operations();
  return std::all_of(operations.begin(), operations.end(), [](const OnnxOperation& op) { return op.is_supported; });
}

void show(const Config& config, Terminal& terminal) {
  const auto model = load(config);
  terminal.print(model_page(*model, terminal.style()));
  if (!all_supported(*model)) return;
  BuildOptions options;
  options.batch = config.data.batch;
  options.dims = config.model.dims;
  options.ties = config.model.tie;
  options.unties = config.model.untie;
  terminal.print("\n" + layer_table(model->build(options), terminal.style()));
  for (const std::string& note : model->notes())
    terminal.print(fmt::format("  {} {}\n", terminal.style().strong("note:"), note));
}

void export_builtin(const Command& command, Terminal& terminal) {
  export_model(command.config.model.source, command.output, {command.config.seed, command.with_weights});
  terminal.print(fmt::format("wrote {}\n", command.output));
}

void partition(const Command& command, Terminal& terminal) {
  Config config = command.config;
  config.layout.d = std::max(config.layout.d, 1);
  write_shards(config, command.output);
  terminal.print(fmt::format("wrote the shards of {} ranks to {}\n",
                             config.layout.d * config.layout.p * config.layout.t, command.output));
}

}  // namespace

std::string model_page(const OnnxModel& model, Style style) {
  std::string text = fmt::format("{} (opset {}, IR {}{})\n", style.heading(model.name()), model.opset(),
                                 model.ir_version(), model.producer().empty() ? "" : ", by " + model.producer());
  for (const OnnxInput& input : model.inputs()) text += fmt::format("  input   {}\n", dims_text(input));
  for (const std::string& output : model.outputs()) text += fmt::format("  output  {}\n", output);
  TextTable table({{"operation", Align::left}, {"count"}, {"supported", Align::left}});
  for (const OnnxOperation& op : model.operations()) {
    const std::string name = op.domain.empty() ? op.type : op.domain + "." + op.type;
    table.add_row({name, std::to_string(op.count), op.is_supported ? "yes" : fmt::format("no (opset {})", op.opset)});
  }
  return text + "\n" + table.to_string(style);
}

void run_model_command(const Command& command, Terminal& terminal) {
  if (command.action == Action::model_show) show(command.config, terminal);
  if (command.action == Action::model_export) export_builtin(command, terminal);
  if (command.action == Action::model_partition) partition(command, terminal);
}

}  // namespace dml
