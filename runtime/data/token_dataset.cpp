// Sequences of tokens: a long text cut into windows of T tokens, whose labels are the tokens that follow each.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/error.h"
#include "runtime/data/open.h"

namespace dml {
namespace {

/// Tokens where they lie, little-endian, 1, 2 or 4 bytes each.
struct Tokens {
  std::shared_ptr<const void> owner;
  const std::byte* data = nullptr;
  std::int64_t count = 0;
  int width = 1;

  std::uint32_t at(std::int64_t i) const {
    std::uint32_t token = 0;
    std::memcpy(&token, data + i * width, static_cast<std::size_t>(width));
    return token;
  }
};

/// Tokens are compared with the vocabulary when the source is opened; the rest of a longer one as it is read.
constexpr std::int64_t kCheckedAtOpen = std::int64_t{1} << 26;

class TokenDataset final : public Dataset {
 public:
  TokenDataset(Description description, Tokens tokens, std::int64_t vocabulary)
      : Dataset(std::move(description)),
        length_(tokens_per_sample()),
        tokens_(std::move(tokens)),
        vocabulary_(vocabulary) {
    if (vocabulary_ == 0) return;
    const std::int64_t end = std::min(tokens_.count, kCheckedAtOpen);
    for (std::int64_t i = 0; i < end; ++i) check(tokens_.at(i), i);
  }

 private:
  void read_field(std::span<const std::int64_t> ids, int field, void* out) const override {
    const bool is_label = field == 1;
    const DataType dtype = is_label ? label().dtype : inputs()[0].dtype;
    auto* to = static_cast<std::byte*>(out);
    for (const std::int64_t id : ids) {
      const std::int64_t first = id * length_ + (is_label ? 1 : 0);
      if (dtype == DataType::i64) {
        copy<std::int64_t>(to, first);
      } else {
        copy<std::int32_t>(to, first);
      }
      to += length_ * static_cast<std::int64_t>(size_of(dtype));
    }
  }

  std::int64_t count_targets(std::span<const std::int64_t> ids) const override {
    return static_cast<std::int64_t>(ids.size()) * length_;
  }

  template <typename T>
  void copy(std::byte* out, std::int64_t first) const {
    auto* to = reinterpret_cast<T*>(out);
    for (std::int64_t i = 0; i < length_; ++i) {
      const std::uint32_t token = tokens_.at(first + i);
      if (vocabulary_ > 0) check(token, first + i);
      to[i] = static_cast<T>(token);
    }
  }

  void check(std::uint32_t token, std::int64_t position) const {
    if (token < static_cast<std::uint64_t>(vocabulary_)) return;
    throw ModelError(fmt::format("{}: token {} at position {} is outside the model's vocabulary of {}", description(),
                                 token, position, vocabulary_));
  }

  std::int64_t length_;
  Tokens tokens_;
  std::int64_t vocabulary_;
};

std::int64_t smaller_known(std::int64_t a, std::int64_t b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); }

std::unique_ptr<Dataset> open_sequences(Tokens tokens, std::int64_t num_classes, const OpenRequest& request) {
  const ModelInputs& model = *request.model;
  if (model.inputs.size() != 1) {
    throw ModelError(fmt::format("{} feeds one input, the model has {}", request.source, model.inputs.size()));
  }
  const auto& input = model.inputs[0];
  if (input.dtype != DataType::i64 && input.dtype != DataType::i32) {
    throw ModelError(
        fmt::format("{} holds tokens, the model's input {} is {}", request.source, input.name, name_of(input.dtype)));
  }
  if (input.shape.rank() != 2 || input.shape[1] < 1) {
    throw ModelError(
        fmt::format("{} holds sequences, the model's input {} has shape {}: its dims must be batch and a known "
                    "number of tokens (--dim NAME=N)",
                    request.source, input.name, input.shape.to_string()));
  }
  const std::int64_t length = input.shape[1];
  if (tokens.count <= length) {
    throw ModelError(
        fmt::format("{} has {} tokens, one sample and its labels need {}", request.source, tokens.count, length + 1));
  }
  const SampleRange range = select_samples((tokens.count - 1) / length, request);
  return std::make_unique<TokenDataset>(
      TokenDataset({.inputs = {{input.name, input.dtype, Shape{length}}},
                    .label = {"label", DataType::i64, Shape{length}},
                    .range = range,
                    .shuffled = request.shuffle,
                    .seed = request.seed,
                    .tokens_per_sample = length,
                    .num_classes = num_classes,
                    .text = fmt::format("{}, {} sequences of {}", request.source, range.count, length)},
                   std::move(tokens), smaller_known(model.vocabulary, model.num_classes)));
}

constexpr std::size_t kHeaderBytes = 256 * sizeof(std::int32_t);

/// llm.c, dev/data/data_common.py: 256 int32 of which the first three are magic, version and number of tokens.
struct HeaderKind {
  std::int32_t magic;
  std::int32_t version;
  int width;
};
constexpr std::array<HeaderKind, 2> kHeaders = {{{20240520, 1, 2}, {20240801, 7, 4}}};

Tokens with_header(const std::string& path, const std::shared_ptr<const MappedFile>& file, const HeaderKind& kind) {
  std::array<std::int32_t, 3> header{};
  std::memcpy(header.data(), file->bytes().data(), sizeof header);
  if (header[1] != kind.version) {
    throw IoError(fmt::format("{} has version {} of its header, known is {}", path, header[1], kind.version));
  }
  // The count is written as int32 and wraps beyond 2^31 tokens: read it as unsigned.
  const auto count = static_cast<std::int64_t>(static_cast<std::uint32_t>(header[2]));
  const auto stored = static_cast<std::int64_t>(file->bytes().size() - kHeaderBytes);
  if (stored < count * kind.width) {
    throw IoError(fmt::format("{} is truncated: {} tokens of {} bytes are announced, {} bytes follow the header", path,
                              count, kind.width, stored));
  }
  return {file, file->bytes().data() + kHeaderBytes, count, kind.width};
}

}  // namespace

std::unique_ptr<Dataset> open_bytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                    const OpenRequest& request) {
  constexpr std::int64_t kByteValues = 256;
  Tokens tokens{std::move(owner), bytes.data(), static_cast<std::int64_t>(bytes.size()), 1};
  return open_sequences(std::move(tokens), kByteValues, request);
}

std::unique_ptr<Dataset> open_tokens(const std::string& path, const OpenRequest& request) {
  const auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  if (bytes.size() >= kHeaderBytes) {
    std::int32_t magic = 0;
    std::memcpy(&magic, bytes.data(), sizeof magic);
    for (const HeaderKind& kind : kHeaders) {
      if (kind.magic == magic) return open_sequences(with_header(path, file, kind), 0, request);
    }
  }
  if (bytes.size() % 2 != 0) {
    throw IoError(fmt::format("{} has {} bytes, which is no number of uint16 tokens", path, bytes.size()));
  }
  return open_sequences({file, bytes.data(), static_cast<std::int64_t>(bytes.size() / 2), 2}, 0, request);
}

}  // namespace dml
