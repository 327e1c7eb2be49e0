// An ONNX file as a graph of opaque operations: what can be drawn and planned of a model that has operations which are
// not read, or whose weights are not there. Neither weights nor external data are opened.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/onnx/model_file.h"

namespace dml {

class OpaqueModel {
 public:
  /// Throws IoError where the file cannot be read, ModelError where it is no model.
  static std::shared_ptr<const OpaqueModel> load(const std::string& path);

  struct Content;
  explicit OpaqueModel(std::unique_ptr<const Content> content);
  ~OpaqueModel();

  /// True where OnnxModel cannot do: operations are not read, or external data is missing.
  bool is_needed() const;
  /// What is drawn without being understood, and what the file does not tell: one line each.
  std::vector<std::string> notes() const;
  /// Elements of all float initializers.
  std::int64_t num_parameters() const;

  /// The forward pass: each node an operation "DOMAIN.TYPE" without gradient. Shapes are those that the file tells; dim
  /// 0 of the first input, where it is symbolic, is options.batch wherever its name occurs, other names are bound by
  /// options.dims. A value of unknown shape has the shape [0], so that it costs no bytes. FLOPs are known of matrix
  /// products with known shapes (2·M·N·K, also of com.microsoft.MatMulNBits), else 0. All outputs of the file are kept.
  Graph build(const BuildOptions& options) const;

 private:
  std::unique_ptr<const Content> content_;
};

}  // namespace dml
