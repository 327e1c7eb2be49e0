#include "models/zoo/weight_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "kernels/error.h"

namespace dml {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kAlignment = 4096;  ///< as ONNX recommends, so that tensors can be mapped
constexpr std::int64_t kPieceElems = std::int64_t{1} << 22;

/// A file under a temporary name until commit().
class PartialFile {
 public:
  explicit PartialFile(std::string path) : path_(std::move(path)), partial_(path_ + ".partial") {
    stream_.open(partial_, std::ios::binary | std::ios::trunc);
    check();
  }
  ~PartialFile() {
    std::error_code ignored;
    if (!committed_) fs::remove(partial_, ignored);
  }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  void write(const void* bytes, std::int64_t count) {
    stream_.write(static_cast<const char*>(bytes), count);
    check();
  }
  void seek(std::int64_t offset) { stream_.seekp(offset); }
  void commit() {
    stream_.close();
    check();
    std::error_code error;
    fs::rename(partial_, path_, error);
    if (error) throw IoError(fmt::format("cannot write {}: {}", path_, error.message()));
    committed_ = true;
  }

 private:
  void check() const {
    if (!stream_) throw IoError(fmt::format("cannot write {}: {}", path_, std::strerror(errno)));
  }

  std::string path_, partial_;
  std::ofstream stream_;
  bool committed_ = false;
};

std::int64_t aligned(std::int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::int64_t bytes_of(const ZooWeight& weight) {
  return weight.shape.num_elements() * static_cast<std::int64_t>(sizeof(float));
}

void check_space(const ZooModel& model, const std::string& path) {
  std::int64_t needed = 0;
  for (const ZooWeight& weight : model.weights) needed += aligned(bytes_of(weight));
  std::error_code error;
  const fs::space_info space = fs::space(fs::absolute(path).parent_path(), error);
  if (error || static_cast<std::uint64_t>(needed) <= space.available) return;
  throw IoError(fmt::format("{} needs {:.1f} GB, {:.1f} GB are free: --no-weights writes the model for planning", path,
                            static_cast<double>(needed) * 1e-9, static_cast<double>(space.available) * 1e-9));
}

void refer(onnx::TensorProto& tensor, const std::string& location, std::int64_t offset, std::int64_t length) {
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  const auto set = [&](const char* key, const std::string& value) {
    auto* entry = tensor.add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  };
  set("location", location);
  set("offset", std::to_string(offset));
  set("length", std::to_string(length));
}

}  // namespace

void write_external_weights(ZooModel& model, const std::string& model_path, std::uint64_t seed) {
  const std::string path = model_path + ".data";
  const std::string location = fs::path(path).filename();
  check_space(model, path);
  PartialFile file(path);
  std::vector<float> piece;
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < model.weights.size(); ++i) {
    const ZooWeight& weight = model.weights[i];
    const std::int64_t total = weight.shape.num_elements();
    file.seek(offset);
    for (std::int64_t first = 0; first < total; first += kPieceElems) {
      piece.resize(static_cast<std::size_t>(std::min(kPieceElems, total - first)));
      fill_weights(piece, weight.rule, seed, weight.name, first);
      file.write(piece.data(), static_cast<std::int64_t>(piece.size() * sizeof(float)));
    }
    refer(*model.proto.mutable_graph()->mutable_initializer(static_cast<int>(i)), location, offset, bytes_of(weight));
    offset = aligned(offset + bytes_of(weight));
  }
  file.commit();
}

void write_file(const std::string& path, const std::string& bytes) {
  PartialFile file(path);
  file.write(bytes.data(), static_cast<std::int64_t>(bytes.size()));
  file.commit();
}

}  // namespace dml
