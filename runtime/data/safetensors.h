// The safetensors format: eight bytes of header length, a JSON header, then the tensors without gaps.
// https://huggingface.co/docs/safetensors#format. The reader takes nothing on trust: any file may be hostile.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/tensor.h"
#include "models/onnx/mapped_file.h"

namespace dml {

using SafetensorsMetadata = std::map<std::string, std::string>;

/// A file whose tensors are read where they lie. Cheap to copy; views live as long as any copy.
class SafetensorsFile {
 public:
  /// Throws IoError that names the file, the tensor and what is wrong: header length, JSON, duplicate names, types
  /// other than DataType's, shapes that disagree with their bytes, holes, overlaps, bytes beyond the end.
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return path_; }
  /// In ascending order.
  std::vector<std::string> names() const;
  /// A read-only view into the mapped file; data is null where there is no tensor of that name, and not null for one
  /// without elements. Foreign writers may place data unaligned for its type: memcpy where that matters.
  TensorView find(std::string_view name) const;
  /// As find; throws IoError that lists the names where there is none.
  TensorView get(std::string_view name) const;
  const SafetensorsMetadata& metadata() const { return metadata_; }

 private:
  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, TensorView, std::less<>> tensors_;
  SafetensorsMetadata metadata_;
};

/// Writes a file tensor by tensor, and slice by slice. Tensors are declared first; the first write fixes the layout.
/// The file appears under its name at close() alone; until then it is beside it, and is removed if close() is never
/// reached.
class SafetensorsWriter {
 public:
  explicit SafetensorsWriter(std::string path, SafetensorsMetadata metadata = {});
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  /// Throws std::invalid_argument for a name that is taken or reserved, and after the first write.
  void declare(const std::string& name, DataType dtype, const Shape& shape);
  /// `count` elements of the tensor from element `first` on. Throws std::invalid_argument beyond its end, IoError when
  /// the file cannot be written.
  void write(std::string_view name, std::int64_t first, const void* elements, std::int64_t count);
  /// The whole tensor.
  void write(std::string_view name, const void* elements);
  /// Throws std::invalid_argument that names a tensor with fewer elements written than it has.
  void close();

 private:
  struct Entry {
    DataType dtype = DataType::f32;
    Shape shape;
    std::int64_t offset = 0;   ///< in the file, bytes
    std::int64_t written = 0;  ///< elements
  };

  void begin();
  void put(const void* bytes, std::size_t count, std::int64_t offset);

  std::string path_;
  std::string partial_path_;
  SafetensorsMetadata metadata_;
  std::map<std::string, Entry, std::less<>> entries_;
  int file_ = -1;
};

}  // namespace dml
