// What an OnnxModel holds: the message, and the tables that every build reads.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "models/onnx/proto.h"

namespace dml {

struct OnnxModel::Content {
  std::shared_ptr<const onnx::ModelProto> proto;
  std::string name;
  std::string path;  ///< empty where it is not a file
  std::string producer;
  std::int64_t opset = 0;
  std::vector<OnnxInput> inputs;
  std::vector<std::string> outputs;
  std::vector<OnnxInitializer> initializers;
  std::unordered_map<std::string, std::size_t> initializer_index;
  std::string batch_name;          ///< symbolic dim 0 that is the batch; empty where there is none
  std::int64_t written_batch = 0;  ///< dim 0 of the inputs where it is a number

  const OnnxInitializer* find(const std::string& initializer) const;
  const onnx::GraphProto& graph() const { return proto->graph(); }
};

/// Checks the message and fills the tables; `path` is where external data is looked for, empty: none is allowed.
std::unique_ptr<const OnnxModel::Content> make_content(std::shared_ptr<const onnx::ModelProto> proto, std::string name,
                                                       const std::string& path, const SourceMap& sources);

/// Text from a file as it may stand in a message of one line.
std::string printable(const std::string& text);
/// The same in single quotes.
std::string in_quotes(const std::string& text);

}  // namespace dml
