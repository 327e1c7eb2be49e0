#include "launch/commands/model_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "launch/failure.h"
#include "launch/options/usage_error.h"
#include "launch/report/layer_table.h"
#include "launch/terminal/text_table.h"
#include "models/zoo/zoo.h"
#include "runtime/model/carried_plan.h"
#include "runtime/model/shards.h"

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

/// Training's options, with the model that the command names.
Config model_config(const Command& command) {
  Config config = command.config;
  config.model.source = command.arguments.front();
  return config;
}

int show(const Command& command, Terminal& terminal) {
  const Config config = model_config(command);
  const auto model = load(config);
  terminal.print(model_page(*model, terminal.style()));
  if (!all_supported(*model)) return exit_code::kDone;
  BuildOptions options;
  options.batch = config.data.batch;
  options.dims = config.model.dims;
  options.ties = config.model.tie;
  options.unties = config.model.untie;
  terminal.print("\n" + layer_table(model->build(options), terminal.style()));
  for (const std::string& note : model->notes())
    terminal.print(fmt::format("  {} {}\n", terminal.style().strong("note:"), note));
  return exit_code::kDone;
}

int export_builtin(const Command& command, Terminal& terminal) {
  const std::string& output = command.arguments.back();
  export_model(command.arguments.front(), output, {command.config.seed, !command.has("no-weights")});
  terminal.print(fmt::format("wrote {}\n", output));
  return exit_code::kDone;
}

int partition(const Command& command, Terminal& terminal) {
  const Techniques& techniques = command.config.layout.techniques;
  if (techniques != Techniques{}) {
    throw UsageError(fmt::format("model partition: its files are for training, which does not execute {}: leave it out",
                                 techniques.to_options()));
  }
  Config config = model_config(command);
  const std::string& output = command.arguments.back();
  adopt_carried_layout(config);
  config.layout.d = std::max(config.layout.d, 1);
  write_shards(config, output);
  terminal.print(
      fmt::format("wrote the shards of {} ranks to {}\n", config.layout.d * config.layout.p * config.layout.t, output));
  return exit_code::kDone;
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

CommandSpec model_show_command() {
  return {.name = "model show",
          .arguments = "FILE|NAME",
          .summary = "operations, parameters, costs",
          .least_arguments = 1,
          .most_arguments = 1,
          .reads = {"Model", "batch", "seed"},
          .run = show};
}

CommandSpec model_export_command() {
  return {.name = "model export",
          .arguments = "NAME OUT.onnx",
          .summary = "a built-in model as ONNX",
          .least_arguments = 2,
          .most_arguments = 2,
          .reads = {"seed"},
          .options = {{"no-weights", "", "leaves the weights out: enough to plan by"}},
          .run = export_builtin};
}

CommandSpec model_partition_command() {
  return {.name = "model partition",
          .arguments = "FILE OUT/",
          .summary = "each rank's shard as ONNX",
          .least_arguments = 2,
          .most_arguments = 2,
          .reads = {"Model", "Data", "Layout", "Optimizer", "seed"},
          .run = partition};
}

}  // namespace dml
