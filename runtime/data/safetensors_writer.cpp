// Data is laid out by element size, largest first, then by name, so that every tensor lies aligned for its type.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "kernels/error.h"
#include "runtime/data/safetensors.h"
#include "runtime/data/safetensors_dtype.h"

namespace dml {

SafetensorsWriter::SafetensorsWriter(std::string path, SafetensorsMetadata metadata)
    : path_(std::move(path)),
      partial_path_(fmt::format("{}.{}.partial", path_, ::getpid())),
      metadata_(std::move(metadata)) {}

SafetensorsWriter::~SafetensorsWriter() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(partial_path_.c_str());
}

void SafetensorsWriter::declare(const std::string& name, DataType dtype, const Shape& shape) {
  if (file_ >= 0) throw std::invalid_argument(fmt::format("[safetensors] {} is declared after the first write", name));
  if (name == "__metadata__") throw std::invalid_argument("[safetensors] a tensor cannot be named __metadata__");
  if (!entries_.emplace(name, Entry{dtype, shape}).second) {
    throw std::invalid_argument(fmt::format("[safetensors] {} is declared twice", name));
  }
}

void SafetensorsWriter::begin() {
  std::vector<std::pair<const std::string, Entry>*> order;
  for (auto& item : entries_) order.push_back(&item);
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return size_of(a->second.dtype) > size_of(b->second.dtype); });
  nlohmann::json header = nlohmann::json::object();  // sorts its keys
  if (!metadata_.empty()) header["__metadata__"] = metadata_;
  std::int64_t at = 0;
  for (auto* item : order) {
    Entry& entry = item->second;
    const auto bytes = entry.shape.num_elements() * static_cast<std::int64_t>(size_of(entry.dtype));
    entry.offset = at;
    header[item->first] = {{"dtype", safetensors_name(entry.dtype)},
                           {"shape", entry.shape.to_vector()},
                           {"data_offsets", {at, at + bytes}}};
    at += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  file_ = ::open(partial_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) throw IoError(fmt::format("cannot write {}: {}", partial_path_, std::strerror(errno)));
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(static_cast<unsigned char>(text.size() >> (8 * i)));
  const std::string head = length + text;
  put(head.data(), head.size(), 0);
  for (auto* item : order) item->second.offset += static_cast<std::int64_t>(head.size());
}

void SafetensorsWriter::put(const void* bytes, std::size_t count, std::int64_t offset) {
  const auto* from = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t done = ::pwrite(file_, from, count, offset);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) throw IoError(fmt::format("cannot write {}: {}", path_, std::strerror(errno)));
    from += done;
    offset += done;
    count -= static_cast<std::size_t>(done);
  }
}

void SafetensorsWriter::write(std::string_view name, std::int64_t first, const void* elements, std::int64_t count) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) throw std::invalid_argument(fmt::format("[safetensors] {} is not declared", name));
  Entry& entry = found->second;
  const std::int64_t total = entry.shape.num_elements();
  if (first < 0 || count < 0 || first > total || count > total - first) {
    throw std::invalid_argument(fmt::format("[safetensors] {} has {} elements: elements {} to {} are outside", name,
                                            total, first, first + count));
  }
  if (file_ < 0) begin();
  const auto size = static_cast<std::int64_t>(size_of(entry.dtype));
  put(elements, static_cast<std::size_t>(count * size), entry.offset + first * size);
  entry.written += count;
}

void SafetensorsWriter::write(std::string_view name, const void* elements) {
  const auto found = entries_.find(name);
  write(name, 0, elements, found == entries_.end() ? 0 : found->second.shape.num_elements());
}

void SafetensorsWriter::close() {
  for (const auto& [name, entry] : entries_) {
    if (entry.written < entry.shape.num_elements()) {
      throw std::invalid_argument(fmt::format("[safetensors] {} of {} elements of {} were written", entry.written,
                                              entry.shape.num_elements(), name));
    }
  }
  if (file_ < 0) begin();
  const int file = std::exchange(file_, -1);
  if (::close(file) != 0 || std::rename(partial_path_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(partial_path_.c_str());
    throw IoError(fmt::format("cannot write {}: {}", path_, std::strerror(error)));
  }
}

}  // namespace dml
