#include "runtime/data/dataset.h"

#include <fmt/format.h>

#include <filesystem>

#include "kernels/error.h"
#include "runtime/data/builtin.h"
#include "runtime/data/open.h"

namespace dml {

Dataset::Dataset(Description description)
    : inputs_(std::move(description.inputs)),
      label_(std::move(description.label)),
      range_(description.range),
      order_(description.range.count, description.shuffled, description.seed),
      given_batch_size_(description.given_batch_size),
      tokens_per_sample_(description.tokens_per_sample),
      num_classes_(description.num_classes),
      description_(std::move(description.text)) {}

void Dataset::batch_ids(std::int64_t step, std::int64_t batch, std::span<std::int64_t> ids, std::int64_t first) const {
  const auto count = static_cast<std::int64_t>(ids.size());
  if (step < 0 || batch < 1 || first < 0 || count > batch - first) {
    throw std::invalid_argument(
        fmt::format("[data] samples {} to {} of batch {} with {} samples", first, first + count, step, batch));
  }
  if (is_given_batches() && batch != given_batch_size_) {
    throw std::invalid_argument(fmt::format("[data] batch of {}, the given batches hold {}", batch, given_batch_size_));
  }
  for (std::int64_t i = 0; i < count; ++i) {
    ids[static_cast<std::size_t>(i)] = range_.first + order_.at(step * batch + first + i);
  }
}

void Dataset::check_ids(std::span<const std::int64_t> ids) const {
  for (const std::int64_t id : ids) {
    if (id < range_.first || id >= range_.first + range_.count) {
      throw std::invalid_argument(
          fmt::format("[data] sample {} is not in [{}, {})", id, range_.first, range_.first + range_.count));
    }
  }
}

void Dataset::read(std::span<const std::int64_t> ids, int field, void* out) const {
  const int num_fields = static_cast<int>(inputs_.size()) + (label_.name.empty() ? 0 : 1);
  if (field < 0 || field >= num_fields) {
    throw std::invalid_argument(fmt::format("[data] field {} of {}", field, num_fields));
  }
  check_ids(ids);
  read_field(ids, field, out);
}

std::int64_t Dataset::counted_targets(std::span<const std::int64_t> ids) const {
  check_ids(ids);
  return label_.name.empty() ? static_cast<std::int64_t>(ids.size()) : count_targets(ids);
}

SampleRange select_samples(std::int64_t total, const OpenRequest& request) {
  if (total < 1) throw ModelError(fmt::format("{} holds no sample", request.source));
  if (request.whole) return {0, request.limit > 0 ? std::min(total, request.limit) : total};
  const std::int64_t held_out = total / 10;
  if (request.validation) {
    if (held_out == 0) {
      throw ModelError(
          fmt::format("{} has {} samples, too few to keep a tenth for validation: give --val", request.source, total));
    }
    return {total - held_out, held_out};
  }
  const std::int64_t trained = total - held_out;
  return {0, request.limit > 0 ? std::min(trained, request.limit) : trained};
}

namespace {

bool starts_with(std::span<const std::byte> bytes, std::initializer_list<unsigned> values) {
  if (bytes.size() < values.size()) return false;
  std::size_t i = 0;
  for (const unsigned value : values) {
    if (std::to_integer<unsigned>(bytes[i++]) != value) return false;
  }
  return true;
}

bool takes_images(const ModelInputs& model) { return model.inputs.size() == 1 && is_float(model.inputs[0].dtype); }

std::unique_ptr<Dataset> open_builtin(const std::string& name, const OpenRequest& request) {
  if (name == "text") return open_bytes(builtin_text(), nullptr, request);
  if (name == "digits") return open_digits(builtin_digits(), request);
  throw ModelError(fmt::format("there is no built-in data set {}: text, digits", name));
}

/// A plain path: by its ending, then by its first bytes.
std::unique_ptr<Dataset> open_path(const std::string& path, const OpenRequest& request) {
  if (std::filesystem::is_directory(path)) return open_cifar10(path, request);
  if (path.ends_with(".safetensors")) return open_arrays(path, request);
  const auto file = MappedFile::open(path);
  if (path.ends_with(".txt")) return open_bytes(file->bytes(), file, request);
  if (path.ends_with(".bin")) {
    return takes_images(*request.model) ? open_cifar10(path, request) : open_tokens(path, request);
  }
  if (starts_with(file->bytes(), {0, 0, 8, 3})) return open_idx(path, request);
  if (starts_with(file->bytes(), {0x1f, 0x8b})) throw IoError(fmt::format("{} is compressed: gunzip it first", path));
  throw ModelError(
      fmt::format("cannot tell what {} holds: name it text:FILE, idx:IMAGES,LABELS or cifar10:FILE, or give "
                  ".safetensors, .bin or .txt",
                  path));
}

}  // namespace

std::unique_ptr<Dataset> open_dataset(const DataConfig& config, const ModelInputs& model, std::uint64_t seed,
                                      bool validation) {
  OpenRequest request;
  const bool own_source = validation && !config.validation.empty();
  request.source = own_source ? config.validation : config.source;
  request.model = &model;
  request.seed = seed;
  request.validation = validation;
  request.whole = own_source || (!validation && !config.validation.empty());
  request.limit = validation ? 0 : config.samples;
  request.shuffle = config.shuffle && !validation;
  if (model.inputs.empty()) throw ModelError("the model has no inputs to feed");

  const std::string& source = request.source;
  const auto colon = source.find(':');
  const std::string kind = colon == std::string::npos ? "" : source.substr(0, colon);
  const std::string rest = source.substr(kind.empty() ? 0 : colon + 1);
  if (source.empty()) throw ModelError("no data: give --data");
  if (kind == "builtin") return open_builtin(rest, request);
  if (kind == "idx") return open_idx(rest, request);
  if (kind == "cifar10") return open_cifar10(rest, request);
  if (kind == "text") {
    const auto file = MappedFile::open(rest);
    return open_bytes(file->bytes(), file, request);
  }
  return open_path(source, request);
}

}  // namespace dml
