// A file mapped into memory, read-only: its pages are read when a slice of it is.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace dml {

class MappedFile {
 public:
  /// Throws IoError where the file cannot be opened or is not a regular file.
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile() = default;

  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace dml
