// `dmltrain model show | export | partition`.
#pragma once

#include <string>

#include "launch/options/command_line.h"
#include "launch/terminal/terminal.h"
#include "models/onnx/model_file.h"

namespace dml {

/// What the file says of itself: opset, inputs and outputs, operations with their counts and whether they are
/// supported.
std::string model_page(const OnnxModel& model, Style style);

CommandSpec model_show_command();
CommandSpec model_export_command();
CommandSpec model_partition_command();

}  // namespace dml
