#include "launch/atomic_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "kernels/error.h"

namespace dml {

AtomicFile::AtomicFile(std::string path)
    : path_(std::move(path)), partial_(path_ + ".partial"), stream_(partial_, std::ios::binary | std::ios::trunc) {
  if (!stream_) throw IoError(fmt::format("{}: cannot be written: {}", partial_, std::strerror(errno)));
}

AtomicFile::~AtomicFile() {
  if (committed_) return;
  stream_.close();
  std::remove(partial_.c_str());
}

void AtomicFile::commit() {
  stream_.close();
  if (!stream_ || std::rename(partial_.c_str(), path_.c_str()) != 0) {
    throw IoError(fmt::format("{}: cannot be written: {}", path_, std::strerror(errno)));
  }
  committed_ = true;
}

void write_file(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.stream() << content;
  file.commit();
}

}  // namespace dml
