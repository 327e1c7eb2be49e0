#include "models/onnx/proto_file.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>

#include "kernels/error.h"
#include "models/onnx/content.h"

namespace dml {
namespace {

constexpr std::int64_t kMostInside = std::int64_t{1} << 30;  // bytes of all payloads; more are written as external data
constexpr std::size_t kSmallestOutside = 1024;
constexpr std::size_t kAlignment = 64;

/// A file that appears under its name only when it is complete.
class PendingFile {
 public:
  explicit PendingFile(std::string path)
      : path_(std::move(path)),
        pending_(path_ + ".tmp" + std::to_string(::getpid())),
        stream_(pending_, std::ios::binary | std::ios::trunc) {
    check("opened");
  }
  ~PendingFile() {
    if (!is_done_) std::remove(pending_.c_str());
  }
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  std::ofstream& stream() { return stream_; }
  void close() {
    stream_.close();
    check("written");
  }
  void publish() {
    std::error_code error;
    std::filesystem::rename(pending_, path_, error);
    if (error) throw IoError(in_quotes(path_) + " cannot be written: " + error.message());
    is_done_ = true;
  }

 private:
  void check(const char* what) {
    if (!stream_)
      throw IoError(in_quotes(path_) + " cannot be " + what + ": is there such a folder, with room and rights?");
  }

  std::string path_, pending_;
  std::ofstream stream_;
  bool is_done_ = false;
};

/// Moves the payload of a tensor behind what the data file holds already.
void move_outside(onnx::TensorProto& tensor, PendingFile& file, std::size_t& offset, const std::string& location) {
  const std::size_t padding = (kAlignment - offset % kAlignment) % kAlignment;
  file.stream() << std::string(padding, '\0') << tensor.raw_data();
  offset += padding;
  const std::size_t length = tensor.raw_data().size();
  tensor.clear_raw_data();
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  const auto add = [&](const std::string& key, const std::string& value) {
    auto& entry = *tensor.add_external_data();
    entry.set_key(key);
    entry.set_value(value);
  };
  add("location", location);
  add("offset", std::to_string(offset));
  add("length", std::to_string(length));
  offset += length;
}

}  // namespace

void write_proto(onnx::ModelProto& proto, const std::string& path, const std::set<int>& outside) {
  onnx::GraphProto& graph = *proto.mutable_graph();
  std::size_t total = 0;
  for (const onnx::TensorProto& tensor : graph.initializer()) total += tensor.ByteSizeLong();
  const bool is_large = static_cast<std::int64_t>(total) > kMostInside;
  std::optional<PendingFile> data;
  std::size_t offset = 0;
  for (int i = 0; i < graph.initializer_size(); ++i) {
    onnx::TensorProto& tensor = *graph.mutable_initializer(i);
    const bool is_large_part = is_large && tensor.has_raw_data() && tensor.raw_data().size() >= kSmallestOutside;
    if (!outside.contains(i) && !is_large_part) continue;
    if (!data.has_value()) data.emplace(path + ".data");
    move_outside(tensor, *data, offset, std::filesystem::path(path).filename().string() + ".data");
  }
  PendingFile model(path);
  if (!proto.SerializeToOstream(&model.stream())) throw IoError(in_quotes(path) + " cannot be written");
  model.close();
  if (data.has_value()) data->close();
  if (data.has_value()) data->publish();
  model.publish();
}

}  // namespace dml
