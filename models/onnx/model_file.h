// An ONNX model: read, lowered to a Graph for any batch size, and written again with other weights.
// The file's own meaning is the default; ties and unties change which initializers are one parameter.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/graph.h"
#include "models/onnx/multi_device.h"

namespace dml {

/// Extent of a graph input's dim: a number, or a name that is bound while building.
struct OnnxDim {
  std::string name;         ///< empty where the file says a number
  std::int64_t extent = 0;  ///< of dims without a name
};

struct OnnxInput {
  std::string name;
  DataType dtype = DataType::f32;  ///< as the Graph has it: f32, i64 or boolean
  std::vector<OnnxDim> dims;
};

struct OnnxInitializer {
  std::string name;
  DataType dtype = DataType::f32;  ///< as stored; integers of widths that we do not have are i64
  Shape shape;
  std::shared_ptr<const TensorSource> source;
  bool has_elements = true;  ///< false: written without weights, to plan with; reading it throws IoError
};

/// How often an operation occurs, and whether it can be lowered (or folded).
struct OnnxOperation {
  std::string type;
  std::string domain;  ///< empty for ONNX's own
  std::int64_t opset = 0;
  std::int64_t count = 0;
  bool is_supported = false;
};

struct BuildOptions {
  std::int64_t batch = 0;                    ///< samples of the microbatch; 0: as the file says, else 1
  std::map<std::string, std::int64_t> dims;  ///< extents of the other symbolic dims
  /// {A, B}: B is trained as A. B equals A, or A transposed; then the uses of B read Transpose(A).
  std::vector<std::pair<std::string, std::string>> ties;
  /// Each use of the initializer is a parameter of its own: NAME, NAME#1, NAME#2, ...
  std::vector<std::string> unties;
};

/// The trained elements of an initializer (row-major, its own shape), or nothing where it did not move. Asked once for
/// each name, in the file's order; the names are those of the Graph's parameters and states.
using WeightLookup = std::function<std::optional<std::vector<float>>(const std::string& name)>;

/// See the head of this file. Immutable; a Graph that was built keeps what it needs of the file alive.
class OnnxModel {
 public:
  /// Throws IoError where the file cannot be read, ModelError where it is no model that can be.
  static std::shared_ptr<const OnnxModel> load(const std::string& path);
  /// The same from a serialized model without external data; `name` stands for the path in messages.
  static std::shared_ptr<const OnnxModel> parse(const std::string& bytes, const std::string& name);

  struct Content;  ///< defined for models/ alone, in models/onnx/content.h
  explicit OnnxModel(std::unique_ptr<const Content> content);
  ~OnnxModel();

  /// The forward graph at this batch size, without a loss: inputs in the file's order, output = its first output, float
  /// initializers that are read as parameters. Names and order of nodes and values do not depend on the batch.
  /// Throws ModelError: unsupported operations (all of them in one), unbound dims, shapes that disagree, a batch size
  /// that is written into the graph and cannot be made free.
  Graph build(const BuildOptions& options) const;

  const std::string& name() const;      ///< path, or the name of a built-in model
  const std::string& producer() const;  ///< "pytorch 2.13.0"; may be empty
  std::int64_t opset() const;
  std::int64_t ir_version() const;
  const std::vector<OnnxInput>& inputs() const;  ///< initializers that are listed as inputs are not among them
  const std::vector<std::string>& outputs() const;
  const std::vector<OnnxInitializer>& initializers() const;                ///< in the file's order
  const OnnxInitializer* find_initializer(const std::string& name) const;  ///< null where there is none
  /// The batch size that the inputs' shapes say; 0 where it is symbolic.
  std::int64_t written_batch() const;
  std::vector<OnnxOperation> operations() const;  ///< sorted by type
  /// What in the file looks unintended, one line each: tied weights that the exporter split, equal ones that it merged,
  /// outputs and casts that are ignored. Reads weights where their first and last elements agree.
  std::vector<std::string> notes() const;

  /// Writes the model again: same names, dtypes and unknown fields, weights from `trained`; untied initializers become
  /// several, tied ones get the value that they were trained as. External data stays external (in PATH.data), and is
  /// made so above 1 GB. Files are written beside and renamed. Throws IoError.
  void save(const std::string& path, const WeightLookup& trained, const BuildOptions& options = {}) const;

  /// What the file says of devices; its nodes read untied initializers by their own names. Throws ModelError where
  /// annotations are damaged, or speak of configurations or tensors that are not there.
  DevicePlan device_plan(const BuildOptions& options = {}) const;
  /// Writes the model as `save` does, at its own weights and with another plan: the nodes are those of device_plan with
  /// the same options. Without weights they stay as they are, external data where its file was. Throws IoError.
  void save_plan(const std::string& path, const DevicePlan& plan, const BuildOptions& options, bool weights) const;

 private:
  std::unique_ptr<const Content> content_;
};

}  // namespace dml
