// The built-in models, written as ONNX: training one is training that graph. A source such as
// "gpt:layers=4,width=256" names a family or a preset, and options that differ from its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/onnx/model_file.h"

namespace dml {

struct ZooOptions {
  std::uint64_t seed = 0;
  bool weights = true;  ///< false: initializers have a type and a shape, and no elements (for planning)
};

/// True unless `source` looks like a path: a known name, or one without slash and dot.
bool is_builtin(const std::string& source);

/// The model at its initial weights, which are computed where they are read: a rank that reads slices makes these
/// alone. Throws ModelError for an unknown name or option, with the known ones and the nearest.
std::shared_ptr<const OnnxModel> load_builtin(const std::string& source, std::uint64_t seed);

/// The serialized ModelProto: opset 17, IR 8. Throws ModelError as above, and where weights exceed what one protobuf
/// message can hold (2 GB).
std::string build_model(const std::string& source, const ZooOptions& options);

/// Writes the same to `path`; weights above 1 GB go to `path`.data as external data, one parameter at a time. Files are
/// written beside and renamed. Throws IoError, also beforehand where the disk is too small.
void export_model(const std::string& source, const std::string& path, const ZooOptions& options);

/// A line of help: what can be asked for.
struct BuiltinModel {
  std::string name;
  std::string description;
  std::vector<std::string> options;  ///< "key=default"; of presets, what they set
};
std::vector<BuiltinModel> builtin_models();

}  // namespace dml
