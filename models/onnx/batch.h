// A batch size that is written into the graph is made free: each build at another size compares the shapes with those
// at the written size. Dims that differ hold the batch; where a Reshape or Expand names the written extent, it is
// replaced.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "models/onnx/node.h"

namespace dml {

/// Shapes of the file's values by name.
using ShapeTable = std::unordered_map<std::string, Shape>;

/// Where a value holds the batch: extent of `dim` = outer · batch · inner, row-major.
struct BatchPlace {
  int dim = 0;
  std::int64_t inner = 1;
};

class WrittenBatch {
 public:
  /// `reference`: shapes of all values when built at the written size.
  WrittenBatch(std::int64_t written, std::int64_t asked, ShapeTable reference);

  /// An input of the graph, whose dim 0 is the batch if it has that extent.
  void add_input(const std::string& name, const Shape& shape);
  /// The target of a Reshape (or of what is one) whose input holds the batch; null where it does not. Throws ModelError
  /// where the batch does not end up undivided in one dim.
  std::optional<Shape> reshaped(const OnnxNode& node) const;
  /// The target of an Expand from `input`, with the asked batch where it says the written one. `is_written`: the target
  /// is a constant of the file.
  std::vector<std::int64_t> expanded(const std::string& input_name, const Shape& input,
                                     std::vector<std::int64_t> target, bool is_written) const;
  /// After lowering: finds the batch in output `index`. Throws ModelError where it is lost or has no single place.
  void check_output(const OnnxNode& node, std::size_t index, const Shape& shape);

 private:
  const BatchPlace* place_of(const std::string& name) const;
  const BatchPlace* place_of_inputs(const OnnxNode& node) const;
  std::optional<BatchPlace> reshaped_place(const OnnxNode& node, const BatchPlace& from) const;

  std::int64_t written_;
  std::int64_t asked_;
  ShapeTable reference_;
  std::unordered_map<std::string, BatchPlace> places_;
};

}  // namespace dml
