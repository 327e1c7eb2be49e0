// Small images of one byte per pixel with one byte of label: MNIST's IDX, CIFAR-10's binary files, the built-in digits.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include "kernels/error.h"
#include "runtime/data/open.h"

namespace dml {
namespace {

constexpr std::int64_t kCifarPixels = 3 * 32 * 32;
constexpr std::int64_t kDigitPixels = 8 * 8;

/// Images at pixels + i * stride, labels at labels + i * label_stride.
struct Records {
  std::shared_ptr<const void> owner;
  const std::byte* pixels = nullptr;
  const std::byte* labels = nullptr;
  std::int64_t stride = 0;
  std::int64_t label_stride = 0;
  std::int64_t count = 0;
};

struct Images {
  std::vector<Records> parts;
  Shape shape;           ///< channels, rows, columns
  int brightest = 255;   ///< the pixel that becomes 1
  int num_classes = 10;  ///< 0: what the labels say
};

class ImageDataset final : public Dataset {
 public:
  ImageDataset(Description description, Images&& images)
      : Dataset(std::move(description)), parts_(std::move(images.parts)), num_pixels_(images.shape.num_elements()) {
    for (std::size_t i = 0; i < scaled_.size(); ++i) {
      scaled_[i] = static_cast<float>(i) / static_cast<float>(images.brightest);
    }
  }

 private:
  void read_field(std::span<const std::int64_t> ids, int field, void* out) const override {
    auto* pixels = static_cast<float*>(out);
    auto* labels = static_cast<std::int64_t*>(out);
    for (const std::int64_t id : ids) {
      const auto [part, index] = locate(id);
      if (field == 1) {
        *labels++ = std::to_integer<std::int64_t>(part.labels[index * part.label_stride]);
        continue;
      }
      const std::byte* from = part.pixels + index * part.stride;
      for (std::int64_t i = 0; i < num_pixels_; ++i) *pixels++ = scaled_[std::to_integer<std::size_t>(from[i])];
    }
  }

  std::int64_t count_targets(std::span<const std::int64_t> ids) const override {
    return static_cast<std::int64_t>(ids.size());
  }

  struct Place {
    const Records& part;
    std::int64_t index;
  };
  Place locate(std::int64_t id) const {
    std::size_t part = 0;
    while (id >= parts_[part].count) id -= parts_[part++].count;
    return {parts_[part], id};
  }

  std::vector<Records> parts_;
  std::int64_t num_pixels_;
  std::array<float, 256> scaled_{};
};

/// The largest label + 1; throws ModelError for one that is no class, of the format or of the model.
std::int64_t check_labels(const Images& images, std::int64_t classes, const std::string& source) {
  std::int64_t largest = -1;
  std::int64_t sample = 0;
  for (const Records& part : images.parts) {
    for (std::int64_t i = 0; i < part.count; ++i, ++sample) {
      const auto label = std::to_integer<std::int64_t>(part.labels[i * part.label_stride]);
      if (classes > 0 && label >= classes) {
        throw ModelError(
            fmt::format("{}: label {} of sample {} is not one of {} classes", source, label, sample, classes));
      }
      largest = std::max(largest, label);
    }
  }
  return largest + 1;
}

/// The shape in which the model takes an image: its own, where the element counts agree.
Shape fitted_shape(const Shape& image, const ModelInputs::Input& input, const std::string& source) {
  const Shape& shape = input.shape;
  const bool known = std::all_of(shape.begin() + std::min(1, shape.rank()), shape.end(), [](auto n) { return n >= 0; });
  if (shape.rank() >= 2 && known && shape.product(1, shape.rank()) == image.num_elements()) {
    return Shape(std::span<const std::int64_t>(shape.begin() + 1, shape.end()));
  }
  bool matches = shape.rank() == image.rank() + 1;
  for (int dim = 0; matches && dim < image.rank(); ++dim) matches = shape[dim + 1] == image[dim] || shape[dim + 1] < 0;
  if (matches) return image;
  throw ModelError(fmt::format("{} has images of shape {}, the model's input {} has shape {} (batch first)", source,
                               image.to_string(), input.name, shape.to_string()));
}

std::unique_ptr<Dataset> open_images(Images images, const OpenRequest& request) {
  const ModelInputs& model = *request.model;
  if (model.inputs.size() != 1) {
    throw ModelError(fmt::format("{} feeds one input, the model has {}", request.source, model.inputs.size()));
  }
  const auto& input = model.inputs[0];
  if (input.dtype != DataType::f32) {
    throw ModelError(
        fmt::format("{} holds images, the model's input {} is {}", request.source, input.name, name_of(input.dtype)));
  }
  const Shape sample_shape = fitted_shape(images.shape, input, request.source);
  std::int64_t total = 0;
  for (const Records& part : images.parts) total += part.count;
  const SampleRange range = select_samples(total, request);
  if (images.num_classes > 0) check_labels(images, images.num_classes, request.source);
  const std::int64_t found = check_labels(images, model.num_classes, request.source);
  return std::make_unique<ImageDataset>(
      ImageDataset({.inputs = {{input.name, input.dtype, sample_shape}},
                    .label = {"label", DataType::i64, Shape{}},
                    .range = range,
                    .shuffled = request.shuffle,
                    .seed = request.seed,
                    .num_classes = images.num_classes > 0 ? images.num_classes : found,
                    .text = fmt::format("{}, {} images of {}", request.source, range.count, images.shape.to_string())},
                   std::move(images)));
}

std::vector<std::string> split_paths(const std::string& paths) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin <= paths.size()) {
    const std::size_t comma = std::min(paths.find(',', begin), paths.size());
    parts.push_back(paths.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

std::uint32_t big_endian(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = (value << 8) | std::to_integer<std::uint32_t>(bytes[at + i]);
  return value;
}

/// Shape and content of an IDX file of bytes (http://yann.lecun.com/exdb/mnist/).
struct Idx {
  Shape shape;
  std::span<const std::byte> content;
};

Idx parse_idx(const std::string& path, std::span<const std::byte> bytes, int rank) {
  const std::size_t header = 4 + 4 * static_cast<std::size_t>(rank);
  if (bytes.size() < 4) throw IoError(fmt::format("{} has {} bytes, too few for an IDX file", path, bytes.size()));
  const std::uint32_t magic = big_endian(bytes, 0);
  if (magic != 0x0800U + static_cast<std::uint32_t>(rank)) {
    throw IoError(fmt::format("{} begins with {:08x}, an IDX file of bytes with {} dims with {:08x}{}", path, magic,
                              rank, 0x0800 + rank, magic >> 16 == 0x1f8b ? ": gunzip it first" : ""));
  }
  if (bytes.size() < header) throw IoError(fmt::format("{} is truncated in its header", path));
  Idx idx;
  std::uint64_t elements = 1;
  for (int dim = 0; dim < rank; ++dim) {
    const std::uint32_t extent = big_endian(bytes, 4 + 4 * static_cast<std::size_t>(dim));
    idx.shape.push_back(extent);
    if (__builtin_mul_overflow(elements, std::uint64_t{extent}, &elements)) elements = UINT64_MAX;
  }
  if (elements > bytes.size() - header) {
    throw IoError(fmt::format("{} is truncated: shape {} is announced, {} bytes follow the header", path,
                              idx.shape.to_string(), bytes.size() - header));
  }
  idx.content = bytes.subspan(header, static_cast<std::size_t>(elements));
  return idx;
}

/// "train-images-idx3-ubyte" has its labels in "train-labels-idx1-ubyte".
std::string label_path(const std::string& images) {
  const std::filesystem::path path(images);
  std::string name = path.filename();
  for (const auto& [from, to] : {std::pair{"images", "labels"}, std::pair{"idx3", "idx1"}}) {
    if (const auto at = name.find(from); at != std::string::npos) name.replace(at, std::string_view(from).size(), to);
  }
  const std::string labels = path.parent_path() / name;
  if (name == path.filename() || !std::filesystem::exists(labels)) {
    throw IoError(fmt::format("the labels of {} are not found{}: give idx:IMAGES,LABELS", images,
                              name == path.filename() ? "" : " at " + labels));
  }
  return labels;
}

std::vector<std::string> cifar_files(const std::string& paths) {
  if (!std::filesystem::is_directory(paths)) return split_paths(paths);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(paths)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("data_batch") && name.ends_with(".bin")) files.push_back(entry.path());
  }
  if (files.empty()) throw IoError(fmt::format("{} is a folder without data_batch_*.bin of CIFAR-10", paths));
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::unique_ptr<Dataset> open_digits(std::span<const std::byte> bytes, const OpenRequest& request) {
  constexpr std::int64_t kStride = kDigitPixels + 1;
  constexpr int kBrightest = 16;
  const auto count = static_cast<std::int64_t>(bytes.size()) / kStride;
  const Records records{nullptr, bytes.data(), bytes.data() + kDigitPixels, kStride, kStride, count};
  return open_images({{records}, Shape{1, 8, 8}, kBrightest, 10}, request);
}

std::unique_ptr<Dataset> open_idx(const std::string& paths, const OpenRequest& request) {
  const auto files = split_paths(paths);
  if (files.size() > 2)
    throw ModelError(fmt::format("idx: takes images and labels, {} has {} files", paths, files.size()));
  const std::string labels_path = files.size() == 2 ? files[1] : label_path(files[0]);
  const auto images = MappedFile::open(files[0]);
  const auto labels = MappedFile::open(labels_path);
  const Idx pixels = parse_idx(files[0], images->bytes(), 3);
  const Idx classes = parse_idx(labels_path, labels->bytes(), 1);
  if (pixels.shape[0] != classes.shape[0]) {
    throw ModelError(
        fmt::format("{} has {} images, {} has {} labels", files[0], pixels.shape[0], labels_path, classes.shape[0]));
  }
  const Shape shape{1, pixels.shape[1], pixels.shape[2]};
  auto owner =
      std::make_shared<std::pair<std::shared_ptr<const MappedFile>, std::shared_ptr<const MappedFile>>>(images, labels);
  const Records records{owner, pixels.content.data(), classes.content.data(), shape.num_elements(), 1, pixels.shape[0]};
  return open_images({{records}, shape, 255, 0}, request);
}

std::unique_ptr<Dataset> open_cifar10(const std::string& paths, const OpenRequest& request) {
  constexpr std::int64_t kStride = kCifarPixels + 1;
  Images images{{}, Shape{3, 32, 32}, 255, 10};
  for (const std::string& path : cifar_files(paths)) {
    const auto file = MappedFile::open(path);
    const auto bytes = static_cast<std::int64_t>(file->bytes().size());
    if (bytes == 0 || bytes % kStride != 0) {
      throw IoError(fmt::format("{} has {} bytes, CIFAR-10 files hold a multiple of {}", path, bytes, kStride));
    }
    images.parts.push_back({file, file->bytes().data() + 1, file->bytes().data(), kStride, kStride, bytes / kStride});
  }
  return open_images(std::move(images), request);
}

}  // namespace dml
