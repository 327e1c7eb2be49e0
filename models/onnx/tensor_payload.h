// From TensorProto to TensorSource: the elements stay where they lie, in the message or in a mapped file beside it.
// Two rare encodings are repacked once: 16-bit floats in int32_data, and integer widths that we do not have.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "models/onnx/mapped_file.h"
#include "models/onnx/proto.h"

namespace dml {

/// At most so many elements has a tensor that we read; beyond it the file is taken for damaged.
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

/// The shape in `dims`; throws ModelError naming `tensor` where it has more than 8 dims, or an extent is negative or
/// the whole above kMaxElements.
Shape checked_shape(std::span<const std::int64_t> dims, const std::string& tensor);

/// Whether a source has no elements, and throws when it is read.
bool is_absent(const TensorSource& source);

class PayloadReader {
 public:
  /// `model_path`: external data is confined to its folder; empty: there is none.
  PayloadReader(std::shared_ptr<const onnx::ModelProto> owner, std::string model_path, const SourceMap& sources);

  /// `tensor` is part of the owner. Throws ModelError or IoError where the payload does not fit the shape. A tensor
  /// without any payload is found among the sources, or throws IoError when it is read.
  std::shared_ptr<const TensorSource> read(const onnx::TensorProto& tensor, const std::string& name);

  /// Where external elements lie: bytes as raw_data would hold them, and what keeps them alive.
  struct ExternalBytes {
    std::span<const std::byte> bytes;
    std::shared_ptr<const MappedFile> file;
  };
  ExternalBytes external_bytes(const onnx::TensorProto& tensor, const std::string& name);

 private:
  const std::shared_ptr<const MappedFile>& map(const std::string& location, const std::string& name);

  std::shared_ptr<const onnx::ModelProto> owner_;
  std::string model_path_;
  const SourceMap& sources_;
  std::map<std::string, std::shared_ptr<const MappedFile>> files_;
};

}  // namespace dml
