// Writing messages to files: whole or not at all, with large payloads in a second file.
#pragma once

#include <set>
#include <string>

#include "models/onnx/proto.h"

namespace dml {

/// Writes the model to `path`. Payloads of the initializers (by index) in `outside` go to PATH.data, and all larger
/// ones do where they come to more than 1 GB together. Throws IoError.
void write_proto(onnx::ModelProto& proto, const std::string& path, const std::set<int>& outside);

}  // namespace dml
