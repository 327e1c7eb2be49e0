// The Graph: typed, shaped operations of one microbatch on one device. It knows no rank and no device.
// Nodes are kept in a topological order; values and nodes are named by their index, which never changes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "kernels/tensor.h"

namespace dml {

using ValueId = std::int32_t;
using NodeId = std::int32_t;
inline constexpr std::int32_t kNone = -1;

/// What a node needs beside its inputs: few, small, looked up by name while compiling, never while running.
class Attributes {
 public:
  using Attribute = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>>;

  Attributes& set(std::string key, Attribute value);
  bool has(std::string_view key) const;
  std::int64_t integer(std::string_view key, std::int64_t otherwise = 0) const;
  double real(std::string_view key, double otherwise = 0) const;
  const std::string& text(std::string_view key) const;                 ///< empty where absent
  std::span<const std::int64_t> integers(std::string_view key) const;  ///< empty where absent
  const std::map<std::string, Attribute, std::less<>>& all() const { return attributes_; }

 private:
  std::map<std::string, Attribute, std::less<>> attributes_;
};

/// The content of an initializer or constant where it lies: in the model file's memory, or computed on demand.
/// Nothing is copied until `read`, and then only the box that is asked for.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual DataType stored_type() const = 0;
  virtual const Shape& shape() const = 0;
  /// Elements of the box [offset, offset + extent) in row-major order, converted to float. Throws IoError.
  virtual void read_f32(float* out, const Shape& offset, const Shape& extent) const = 0;
  /// All elements of an integer or boolean tensor, converted to int64. Throws IoError.
  virtual void read_i64(std::int64_t* out) const = 0;

  void read_all_f32(float* out) const;
};

/// A source that owns its elements: folded constants and tests.
std::shared_ptr<const TensorSource> make_source(Shape shape, std::vector<float> elements);
std::shared_ptr<const TensorSource> make_source(Shape shape, std::vector<std::int64_t> elements, DataType type);
/// A source over row-major bytes of `type` that `owner` keeps alive.
std::shared_ptr<const TensorSource> make_source(DataType type, Shape shape, const std::byte* bytes,
                                                std::shared_ptr<const void> owner);

enum class Role : std::uint8_t {
  activation,  ///< computed by a node
  input,       ///< fed with the batch
  label,       ///< fed with the batch, to the loss alone
  parameter,   ///< trains
  state,       ///< moves without a gradient: running statistics
  constant,    ///< never moves
};

struct Value {
  std::string name;
  DataType dtype = DataType::f32;
  Shape shape;
  Role role = Role::activation;
  NodeId producer = kNone;
  std::shared_ptr<const TensorSource> source;  ///< of parameters, states and constants
  std::int64_t num_bytes() const { return shape.num_elements() * static_cast<std::int64_t>(size_of(dtype)); }
};

enum class Phase : std::uint8_t { forward, input_grad, weight_grad, recompute, update };
/// 'F', 'B', 'W', 'R', 'U'.
char letter_of(Phase phase);

struct OpDef;

struct Node {
  const OpDef* op = nullptr;
  std::string name;   ///< of the ONNX node it came from, or derived from that
  std::string scope;  ///< slash-separated module path, for pictures and stages; may be empty
  Attributes attrs;
  std::vector<ValueId> inputs;  ///< kNone for an absent optional input
  std::vector<ValueId> outputs;
  Phase phase = Phase::forward;
  NodeId forward = kNone;  ///< of a gradient node: the forward node that it differentiates
};

class Graph;

/// For each value of a graph, as it was then, the nodes that read it, in order.
class Consumers {
 public:
  explicit Consumers(const Graph& graph);
  /// Nobody reads what the graph did not have.
  std::span<const NodeId> operator[](ValueId value) const {
    const auto at = static_cast<std::size_t>(value);
    if (at + 1 >= begins_.size()) return {};
    return std::span(nodes_).subspan(begins_[at], begins_[at + 1] - begins_[at]);
  }

 private:
  std::vector<std::size_t> begins_;  ///< by value, and the end of the last
  std::vector<NodeId> nodes_;
};

/// See the head of this file. Copyable; constants and weights are shared, not copied.
class Graph {
 public:
  ValueId add_value(Value value);
  /// Adds a node whose outputs are new activations, with dtype and shape by the operation's own rule. Outputs beyond
  /// the given names, and those with an empty one, are named after the node.
  /// Throws ModelError that names the node where the shapes disagree.
  NodeId add_node(Node node, std::span<const std::string> output_names);
  /// The same for one operation by name; returns the first output, which has the node's name.
  /// Scope, phase and forward node are those of `like`.
  ValueId add(std::string_view op, std::vector<ValueId> inputs, Attributes attrs, std::string name,
              const Node* like = nullptr);

  const Value& value(ValueId id) const { return values_[static_cast<std::size_t>(id)]; }
  Value& value(ValueId id) { return values_[static_cast<std::size_t>(id)]; }
  const Node& node(NodeId id) const { return nodes_[static_cast<std::size_t>(id)]; }
  Node& node(NodeId id) { return nodes_[static_cast<std::size_t>(id)]; }
  std::int32_t num_values() const { return static_cast<std::int32_t>(values_.size()); }
  std::int32_t num_nodes() const { return static_cast<std::int32_t>(nodes_.size()); }
  const std::vector<Value>& values() const { return values_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const Shape& shape(ValueId id) const { return value(id).shape; }
  /// kNone where there is none of that name.
  ValueId find_value(std::string_view name) const;
  Consumers consumers() const { return Consumers(*this); }

  /// Replaces the nodes, as rewriting passes do; values that nothing names any more stay, unused.
  void set_nodes(std::vector<Node> nodes);
  /// Drops nodes whose outputs nobody needs: neither `keep` nor a node that is kept. The others get new ids in the same
  /// order; Node::forward follows, and is kNone where the forward node is dropped.
  void remove_dead(std::span<const ValueId> keep);

  std::vector<ValueId> inputs;             ///< fed with the batch, in the file's order (labels are not among them)
  ValueId output = kNone;                  ///< logits or prediction
  ValueId label = kNone;                   ///< set with the loss
  ValueId loss = kNone;                    ///< scalar f32: this microbatch's part of the loss of the global batch
  std::map<ValueId, ValueId> gradient_of;  ///< parameter -> its gradient over this microbatch (training graph)
  std::map<ValueId, ValueId> next_state;   ///< state -> its value after this microbatch

 private:
  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::unordered_map<std::string, ValueId> id_of_name_;
};

}  // namespace dml
