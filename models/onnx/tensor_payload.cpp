#include "models/onnx/tensor_payload.h"

#include <charconv>
#include <cstring>
#include <filesystem>

#include "kernels/error.h"
#include "models/onnx/content.h"

namespace dml {
namespace {

namespace fs = std::filesystem;
using SourcePointer = std::shared_ptr<const TensorSource>;

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  throw ModelError("initializer " + in_quotes(name) + ": " + what);
}

/// Of an initializer whose elements are nowhere: it can be planned with, not read.
class AbsentSource final : public TensorSource {
 public:
  AbsentSource(DataType type, Shape shape, std::string name) : type_(type), shape_(shape), name_(std::move(name)) {}
  DataType stored_type() const override { return type_; }
  const Shape& shape() const override { return shape_; }
  void read_f32(float*, const Shape&, const Shape&) const override { fail_read(); }
  void read_i64(std::int64_t*) const override { fail_read(); }

 private:
  [[noreturn]] void fail_read() const {
    throw IoError("initializer " + in_quotes(name_) + " has no elements in the file (exported without weights?)");
  }

  DataType type_;
  Shape shape_;
  std::string name_;
};

std::int64_t bytes_per_element(const onnx::TensorProto& tensor, const std::string& name) {
  switch (tensor.data_type()) {
    case onnx::TensorProto::INT8: return 1;
    case onnx::TensorProto::INT16:
    case onnx::TensorProto::UINT16: return 2;
    case onnx::TensorProto::UINT32: return 4;
    default: return static_cast<std::int64_t>(size_of(stored_type(tensor.data_type(), printable(name))));
  }
}

std::int64_t num_bytes(const onnx::TensorProto& tensor, const Shape& shape, const std::string& name) {
  return shape.num_elements() * bytes_per_element(tensor, name);
}

template <typename T>
SourcePointer widened(const std::byte* bytes, const Shape& shape) {
  std::vector<std::int64_t> elements(static_cast<std::size_t>(shape.num_elements()));
  for (std::size_t i = 0; i < elements.size(); ++i) {
    T element;
    std::memcpy(&element, bytes + i * sizeof(T), sizeof(T));
    elements[i] = element;  // NOLINT(bugprone-signed-char-misuse): an int8 is a number here
  }
  return make_source(shape, std::move(elements), DataType::i64);
}

/// A source over little-endian row-major bytes, as raw_data and external files hold them.
SourcePointer source_of_bytes(std::int32_t onnx_type, DataType type, const Shape& shape, const std::byte* bytes,
                              std::shared_ptr<const void> owner) {
  switch (onnx_type) {
    case onnx::TensorProto::INT8: return widened<std::int8_t>(bytes, shape);
    case onnx::TensorProto::INT16: return widened<std::int16_t>(bytes, shape);
    case onnx::TensorProto::UINT16: return widened<std::uint16_t>(bytes, shape);
    case onnx::TensorProto::UINT32: return widened<std::uint32_t>(bytes, shape);
    default: return make_source(type, shape, bytes, std::move(owner));
  }
}

void check_count(const std::string& name, const Shape& shape, std::int64_t count, const char* field) {
  if (count == shape.num_elements()) return;
  refuse(name, std::string(field) + " holds " + std::to_string(count) + " elements, its shape " + shape.to_string() +
                   " wants " + std::to_string(shape.num_elements()));
}

template <typename Field>
SourcePointer view_field(const Field& field, const char* field_name, DataType type, const Shape& shape,
                         const std::string& name, std::shared_ptr<const void> owner) {
  check_count(name, shape, field.size(), field_name);
  return make_source(type, shape, reinterpret_cast<const std::byte*>(field.data()), std::move(owner));
}

/// int32_data holds one element of up to 32 bits in each entry; 16-bit floats by their bits.
SourcePointer narrow_int32_data(const onnx::TensorProto& tensor, DataType type, const Shape& shape,
                                const std::string& name) {
  check_count(name, shape, tensor.int32_data_size(), "int32_data");
  if (!is_float(type)) {
    std::vector<std::int64_t> elements(tensor.int32_data().begin(), tensor.int32_data().end());
    return make_source(shape, std::move(elements), type);
  }
  const auto bits = std::make_shared<std::vector<std::uint16_t>>();
  bits->reserve(static_cast<std::size_t>(tensor.int32_data_size()));
  for (const std::int32_t element : tensor.int32_data()) bits->push_back(static_cast<std::uint16_t>(element));
  return make_source(type, shape, reinterpret_cast<const std::byte*>(bits->data()), bits);
}

SourcePointer source_of_fields(const onnx::TensorProto& tensor, DataType type, const Shape& shape,
                               const std::string& name, std::shared_ptr<const void> owner) {
  switch (tensor.data_type()) {
    case onnx::TensorProto::FLOAT:
      return view_field(tensor.float_data(), "float_data", type, shape, name, std::move(owner));
    case onnx::TensorProto::DOUBLE:
      return view_field(tensor.double_data(), "double_data", type, shape, name, std::move(owner));
    case onnx::TensorProto::INT64:
      return view_field(tensor.int64_data(), "int64_data", type, shape, name, std::move(owner));
    case onnx::TensorProto::UINT32:
    case onnx::TensorProto::UINT64:
      return view_field(tensor.uint64_data(), "uint64_data", type, shape, name, std::move(owner));
    case onnx::TensorProto::INT32:
      return view_field(tensor.int32_data(), "int32_data", type, shape, name, std::move(owner));
    default: return narrow_int32_data(tensor, type, shape, name);
  }
}

bool has_typed_fields(const onnx::TensorProto& tensor) {
  return tensor.float_data_size() > 0 || tensor.double_data_size() > 0 || tensor.int64_data_size() > 0 ||
         tensor.int32_data_size() > 0 || tensor.uint64_data_size() > 0;
}

std::int64_t parse_bytes(const std::string& text, const std::string& key, const std::string& name) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    refuse(name, "external data has " + key + " " + in_quotes(text) + ", wants a number of bytes");
  }
  return value;
}

struct ExternalPlace {
  std::string location;
  std::int64_t offset = 0;
  std::int64_t length = -1;
};

ExternalPlace external_place(const onnx::TensorProto& tensor, const std::string& name) {
  ExternalPlace place;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") place.location = entry.value();
    if (entry.key() == "offset") place.offset = parse_bytes(entry.value(), "offset", name);
    if (entry.key() == "length") place.length = parse_bytes(entry.value(), "length", name);
  }
  if (place.location.empty()) refuse(name, "external data without a location");
  return place;
}

}  // namespace

Shape checked_shape(std::span<const std::int64_t> dims, const std::string& tensor) {
  if (dims.size() > Shape::kMaxRank) {
    throw ModelError(in_quotes(tensor) + " has " + std::to_string(dims.size()) + " dimensions; up to 8 are read");
  }
  std::int64_t elements = 1;
  bool is_empty = false;
  for (const std::int64_t extent : dims) {
    if (extent < 0) throw ModelError(in_quotes(tensor) + " has a dimension of " + std::to_string(extent));
    is_empty = is_empty || extent == 0;
    if (extent > kMaxElements || (extent > 0 && elements > kMaxElements / extent)) {
      throw ModelError(in_quotes(tensor) + " has more than 2^40 elements");
    }
    elements *= extent > 0 ? extent : 1;
  }
  return Shape(dims);
}

bool is_absent(const TensorSource& source) { return dynamic_cast<const AbsentSource*>(&source) != nullptr; }

PayloadReader::PayloadReader(std::shared_ptr<const onnx::ModelProto> owner, std::string model_path,
                             const SourceMap& sources)
    : owner_(std::move(owner)), model_path_(std::move(model_path)), sources_(sources) {}

SourcePointer PayloadReader::read(const onnx::TensorProto& tensor, const std::string& name) {
  const DataType type = stored_type(tensor.data_type(), printable(name));
  const Shape shape = checked_shape({tensor.dims().data(), static_cast<std::size_t>(tensor.dims_size())}, name);
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL) {
    const ExternalBytes external = external_bytes(tensor, name);
    return source_of_bytes(tensor.data_type(), type, shape, external.bytes.data(), external.file);
  }
  if (tensor.has_raw_data()) {
    const std::int64_t wanted = num_bytes(tensor, shape, name);
    if (static_cast<std::int64_t>(tensor.raw_data().size()) != wanted) {
      refuse(name, "raw_data holds " + std::to_string(tensor.raw_data().size()) + " bytes, its shape " +
                       shape.to_string() + " wants " + std::to_string(wanted));
    }
    return source_of_bytes(tensor.data_type(), type, shape,
                           reinterpret_cast<const std::byte*>(tensor.raw_data().data()), owner_);
  }
  if (has_typed_fields(tensor) || shape.num_elements() == 0) {
    return source_of_fields(tensor, type, shape, name, owner_);
  }
  const auto found = sources_.find(name);
  if (found == sources_.end()) return std::make_shared<AbsentSource>(type, shape, name);
  if (found->second->shape() != shape) {
    refuse(name, "its shape is " + shape.to_string() + ", that of its source " + found->second->shape().to_string());
  }
  return found->second;
}

PayloadReader::ExternalBytes PayloadReader::external_bytes(const onnx::TensorProto& tensor, const std::string& name) {
  const Shape shape({tensor.dims().data(), static_cast<std::size_t>(tensor.dims_size())});
  const std::int64_t wanted = num_bytes(tensor, shape, name);
  const ExternalPlace place = external_place(tensor, name);
  if (place.length >= 0 && place.length != wanted) {
    refuse(name, "external data is " + std::to_string(place.length) + " bytes long, its shape " + shape.to_string() +
                     " wants " + std::to_string(wanted));
  }
  const auto& file = map(place.location, name);
  const auto size = static_cast<std::int64_t>(file->bytes().size());
  if (place.offset > size || wanted > size - place.offset) {
    refuse(name, "external data wants " + std::to_string(wanted) + " bytes at " + std::to_string(place.offset) +
                     " of '" + printable(place.location) + "', which has " + std::to_string(size) + " (truncated?)");
  }
  return {file->bytes().subspan(static_cast<std::size_t>(place.offset), static_cast<std::size_t>(wanted)), file};
}

const std::shared_ptr<const MappedFile>& PayloadReader::map(const std::string& location, const std::string& name) {
  auto& file = files_[location];
  if (file != nullptr) return file;
  if (model_path_.empty()) refuse(name, "external data in a model that is not a file");
  const fs::path relative(location);
  bool is_confined = relative.is_relative() && location.find('\0') == std::string::npos;
  for (const fs::path& part : relative) is_confined = is_confined && part != "..";
  const fs::path parent = fs::path(model_path_).parent_path();
  std::error_code error;
  const fs::path folder = fs::canonical(parent.empty() ? fs::path(".") : parent, error);
  fs::path resolved;
  if (is_confined) resolved = fs::canonical(folder / relative, error);
  if (error) {
    throw IoError("initializer " + in_quotes(name) + ": external data '" + printable(location) +
                  "' cannot be read: " + error.message() + "; it belongs beside '" + model_path_ + "'");
  }
  const fs::path inside = resolved.lexically_relative(folder);
  if (!is_confined || inside.empty() || *inside.begin() == "..") {
    refuse(name, "external data " + in_quotes(location) + " leaves the folder of the model; move it beside the model");
  }
  file = MappedFile::open(resolved.string());
  return file;
}

}  // namespace dml
