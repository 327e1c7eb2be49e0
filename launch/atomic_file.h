// A file that is there whole or not at all: written beside its place under another name, then renamed.
#pragma once

#include <fstream>
#include <string>
#include <string_view>

namespace dml {

class AtomicFile {
 public:
  /// Opens "<path>.partial". Throws IoError with the path and the reason.
  explicit AtomicFile(std::string path);
  /// Removes the partial file if it was not committed.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  std::ostream& stream() { return stream_; }
  /// Closes and renames. Throws IoError if anything did not reach the file.
  void commit();

 private:
  std::string path_, partial_;
  std::ofstream stream_;
  bool committed_ = false;
};

/// Replaces the file at `path` with `content`.
void write_file(const std::string& path, std::string_view content);

}  // namespace dml
