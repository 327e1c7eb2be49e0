#include "models/onnx/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernels/error.h"
#include "models/onnx/content.h"

namespace dml {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw IoError(in_quotes(path) + " cannot be read: " + what);
}

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number < 0) fail(path, std::strerror(errno));
  struct stat status = {};
  if (::fstat(file.number, &status) != 0) fail(path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail(path, "it is not a regular file");
  std::shared_ptr<MappedFile> result(new MappedFile);
  result->size_ = static_cast<std::size_t>(status.st_size);
  if (result->size_ == 0) return result;
  void* data = ::mmap(nullptr, result->size_, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (data == MAP_FAILED) fail(path, std::strerror(errno));
  result->data_ = static_cast<const std::byte*>(data);
  return result;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace dml
