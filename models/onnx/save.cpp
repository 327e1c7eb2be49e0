// Writing a model again with other weights. Everything but the initializers' payloads is the message that was read.
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/error.h"
#include "models/onnx/content.h"
#include "models/onnx/multi_device_proto.h"
#include "models/onnx/proto_file.h"
#include "models/onnx/rewrite.h"
#include "models/onnx/tensor_payload.h"

namespace dml {
namespace {

// Round to nearest, ties to even.
std::uint16_t half_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000U);
  const float magnitude = std::abs(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7e00U);
  if (magnitude >= 65520.0F) return static_cast<std::uint16_t>(sign | 0x7c00U);
  if (magnitude < 6.103515625e-05F) {  // a multiple of 2^-24
    return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(std::nearbyint(std::ldexp(magnitude, 24))));
  }
  const std::uint32_t rounded = (bits & 0x7fffffffU) + 0xfffU + (bits >> 13 & 1U);
  return static_cast<std::uint16_t>(sign | ((rounded >> 13) - (112U << 10)));
}

std::uint16_t bfloat_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(bits >> 16 | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

template <typename T, typename Convert>
std::string encoded(const std::vector<float>& elements, Convert convert) {
  std::string bytes(elements.size() * sizeof(T), '\0');
  for (std::size_t i = 0; i < elements.size(); ++i) {
    const T element = convert(elements[i]);
    std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
  }
  return bytes;
}

std::string encoded(const std::vector<float>& elements, DataType type) {
  switch (type) {
    case DataType::f64: return encoded<double>(elements, [](float x) { return static_cast<double>(x); });
    case DataType::f16: return encoded<std::uint16_t>(elements, half_of);
    case DataType::bf16: return encoded<std::uint16_t>(elements, bfloat_of);
    default: return encoded<float>(elements, [](float x) { return x; });
  }
}

std::vector<float> transposed(const std::vector<float>& elements, const Shape& shape) {
  std::vector<float> result(elements.size());
  const auto rows = static_cast<std::size_t>(shape[0]);
  const auto columns = static_cast<std::size_t>(shape[1]);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      result[column * rows + row] = elements[row * columns + column];
    }
  }
  return result;
}

bool has_payload(const onnx::TensorProto& tensor) {
  return tensor.has_raw_data() || tensor.float_data_size() > 0 || tensor.double_data_size() > 0 ||
         tensor.int32_data_size() > 0 || tensor.int64_data_size() > 0 || tensor.uint64_data_size() > 0;
}

void set_payload(onnx::TensorProto& tensor, std::string bytes) {
  tensor.clear_float_data();
  tensor.clear_double_data();
  tensor.clear_int32_data();
  tensor.clear_int64_data();
  tensor.clear_uint64_data();
  tensor.clear_external_data();
  tensor.clear_data_location();
  tensor.set_raw_data(std::move(bytes));
}

/// The new payload of each initializer.
class Payloads {
 public:
  Payloads(const OnnxModel::Content& content, const WeightLookup& trained, const BuildOptions& options)
      : content_(content),
        trained_(trained),
        tied_(rewrite(content, options).tied),
        reader_(content.proto, content.path, sources_) {}

  /// `like`: the initializer of the file, of whose name `name` is or was untied.
  void set(onnx::TensorProto& tensor, const std::string& name, const OnnxInitializer& like) {
    if (auto elements = trained_elements(name)) {
      if (static_cast<std::int64_t>(elements->size()) != like.shape.num_elements() || !is_float(like.dtype)) {
        throw ModelError(in_quotes(name) + " is " + std::string(name_of(like.dtype)) + " " + like.shape.to_string() +
                         ", but " + std::to_string(elements->size()) + " trained elements were given");
      }
      set_payload(tensor, encoded(*elements, like.dtype));
    } else if (tensor.data_location() == onnx::TensorProto::EXTERNAL) {
      const auto external = reader_.external_bytes(tensor, name);
      set_payload(tensor, {reinterpret_cast<const char*>(external.bytes.data()), external.bytes.size()});
    } else if (!has_payload(tensor) && like.has_elements && is_float(like.dtype)) {
      std::vector<float> computed(static_cast<std::size_t>(like.shape.num_elements()));
      like.source->read_all_f32(computed.data());
      set_payload(tensor, encoded(computed, like.dtype));
    }
  }

 private:
  std::optional<std::vector<float>> trained_elements(const std::string& name) const {
    if (trained_ == nullptr) return std::nullopt;
    for (const Tied& tied : tied_) {
      if (tied.name != name) continue;
      auto elements = trained_(tied.to);
      if (elements.has_value() && tied.is_transposed) return transposed(*elements, content_.find(tied.to)->shape);
      return elements;
    }
    return trained_(name);
  }

  const OnnxModel::Content& content_;
  const WeightLookup& trained_;
  std::vector<Tied> tied_;
  SourceMap sources_;
  PayloadReader reader_;
};

/// Reads of untied initializers get their own names, and each a tensor of its own.
void separate(onnx::GraphProto& graph, const OnnxModel::Content& content, const std::vector<std::string>& unties) {
  const RewrittenGraph rewritten = rewrite(content, {.batch = 0, .dims = {}, .ties = {}, .unties = unties});
  for (int i = 0; i < graph.node_size(); ++i) {
    const OnnxNode& node = rewritten.nodes[static_cast<std::size_t>(i)];
    for (int input = 0; input < graph.node(i).input_size(); ++input) {
      graph.mutable_node(i)->set_input(input, node.inputs[static_cast<std::size_t>(input)]);
    }
  }
  for (const OnnxInitializer& initializer : rewritten.initializers) {
    if (content.find(initializer.name) != nullptr) continue;
    const std::string name = initializer.name.substr(0, initializer.name.rfind('#'));
    const auto index = static_cast<int>(content.initializer_index.at(name));
    *graph.add_initializer() = onnx::TensorProto(graph.initializer(index));
    graph.mutable_initializer(graph.initializer_size() - 1)->set_name(initializer.name);
  }
}

/// The model of the file; untied initializers are several.
onnx::ModelProto separated(const OnnxModel::Content& content, const BuildOptions& options) {
  onnx::ModelProto proto(*content.proto);
  if (!options.unties.empty()) separate(*proto.mutable_graph(), content, options.unties);
  return proto;
}

/// Gives all initializers their payloads; returns the indices of those that were external data.
std::set<int> set_payloads(onnx::ModelProto& proto, const OnnxModel::Content& content, const WeightLookup& trained,
                           const BuildOptions& options) {
  onnx::GraphProto& graph = *proto.mutable_graph();
  Payloads payloads(content, trained, options);
  std::set<int> outside;
  for (int i = 0; i < graph.initializer_size(); ++i) {
    onnx::TensorProto& tensor = *graph.mutable_initializer(i);
    const OnnxInitializer* like = content.find(tensor.name());
    if (like == nullptr) like = content.find(tensor.name().substr(0, tensor.name().rfind('#')));
    if (tensor.data_location() == onnx::TensorProto::EXTERNAL) outside.insert(i);
    payloads.set(tensor, tensor.name(), *like);
  }
  return outside;
}

}  // namespace

void OnnxModel::save(const std::string& path, const WeightLookup& trained, const BuildOptions& options) const {
  onnx::ModelProto proto = separated(*content_, options);
  const std::set<int> outside = set_payloads(proto, *content_, trained, options);
  write_proto(proto, path, outside);
}

DevicePlan OnnxModel::device_plan(const BuildOptions& options) const {
  if (options.unties.empty()) return read_device_plan(*content_->proto);
  return read_device_plan(separated(*content_, options));
}

void OnnxModel::save_plan(const std::string& path, const DevicePlan& plan, const BuildOptions& options,
                          bool weights) const {
  onnx::ModelProto proto = separated(*content_, options);
  const std::set<int> outside = weights ? set_payloads(proto, *content_, nullptr, options) : std::set<int>{};
  write_device_plan(proto, plan);
  write_proto(proto, path, outside);
}

}  // namespace dml
