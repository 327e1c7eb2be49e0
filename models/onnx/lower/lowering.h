// What a lowering function sees of its ONNX node, and where it puts operations of the Graph. One file of
// this folder per family.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "models/graph.h"
#include "models/onnx/lower/known_values.h"

namespace dml {

class Importer;

class Lowering {
 public:
  Lowering(Importer& importer, const OnnxNode& node);

  const OnnxNode& node;
  Graph& graph;

  bool has_input(std::size_t index) const { return node.has_input(index); }
  /// Input `index` as a value of the Graph; throws std::invalid_argument where it is absent.
  ValueId input(std::size_t index);
  /// The same, or kNone where it is absent.
  ValueId optional_input(std::size_t index);
  Shape shape(std::size_t index) { return graph.shape(input(index)); }
  /// Whether the elements of input `index` are known and never move.
  bool is_folded(std::size_t index) const;
  /// Elements of input `index`; throws ModelError where they are not known.
  const Literal& literal(std::size_t index);
  /// The same as integers; `otherwise` where the input is absent.
  std::vector<std::int64_t> integers(std::size_t index, std::vector<std::int64_t> otherwise = {});
  /// The only element of input `index`; `otherwise` where the input is absent.
  double scalar(std::size_t index, double otherwise);
  /// The initializer behind input `index`, or null.
  const OnnxInitializer* initializer(std::size_t index) const;

  /// A constant of the Graph named after this node's first output.
  ValueId constant(const std::string& suffix, const Literal& literal);
  ValueId constant(const std::string& suffix, double scalar);

  /// An operation on the way, named NODE/suffix; returns its first output, which is named OUTPUT/suffix.
  ValueId emit(std::string_view op, std::vector<ValueId> inputs, Attributes attrs, const std::string& suffix);
  /// The operation that computes this node's first output, and is named as the node is.
  const Node& finish(std::string_view op, std::vector<ValueId> inputs, Attributes attrs = {});
  /// The same with all of the node's outputs, in order.
  void finish_all(std::string_view op, std::vector<ValueId> inputs, Attributes attrs);
  /// Output `index` is an existing value: nothing is computed.
  void bind(std::size_t index, ValueId value);

  /// Null where the batch is as the file says.
  const WrittenBatch* batch() const;
  bool is_target_written(std::size_t index) const;
  std::int64_t next_dropout_site();

 private:
  const Node& add(std::string_view op, std::vector<ValueId> inputs, Attributes attrs, const std::string& suffix,
                  std::vector<std::string> output_names);

  Importer& importer_;
};

void lower_same(Lowering& lowering);  ///< an operation of ours by the same name, all inputs, no attributes
void lower_identity(Lowering& lowering);
void lower_cast(Lowering& lowering);
void lower_pow(Lowering& lowering);
void lower_clip(Lowering& lowering);
void lower_gelu(Lowering& lowering);
void lower_softmax(Lowering& lowering);  ///< and LogSoftmax
void lower_dropout(Lowering& lowering);
void lower_matmul(Lowering& lowering);
void lower_gemm(Lowering& lowering);
void lower_conv(Lowering& lowering);
void lower_max_pool(Lowering& lowering);
void lower_average_pool(Lowering& lowering);
void lower_global_average_pool(Lowering& lowering);
void lower_layer_normalization(Lowering& lowering);
void lower_batch_normalization(Lowering& lowering);
void lower_reduce(Lowering& lowering);  ///< ReduceSum and ReduceMean
void lower_reshape(Lowering& lowering);
void lower_flatten(Lowering& lowering);
void lower_squeeze(Lowering& lowering);
void lower_unsqueeze(Lowering& lowering);
void lower_transpose(Lowering& lowering);
void lower_expand(Lowering& lowering);
void lower_concat(Lowering& lowering);
void lower_split(Lowering& lowering);
void lower_slice(Lowering& lowering);
void lower_gather(Lowering& lowering);
void lower_trilu(Lowering& lowering);

}  // namespace dml
