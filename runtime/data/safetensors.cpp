#include "runtime/data/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <tuple>

#include "kernels/error.h"
#include "runtime/data/safetensors_dtype.h"

namespace dml {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kLengthBytes = 8;

[[noreturn]] void reject(const std::string& path, const std::string& why) {
  throw IoError(fmt::format("{} is not a valid safetensors file: {}", path, why));
}

/// The header's text, its length checked against the file.
std::string_view header_text(const std::string& path, std::span<const std::byte> bytes) {
  if (bytes.size() < kLengthBytes) reject(path, fmt::format("it has {} bytes", bytes.size()));
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) length |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  if (length > kMaxHeaderBytes || length > bytes.size() - kLengthBytes) {
    reject(path, fmt::format("its header has {} bytes, the file {}", length, bytes.size()));
  }
  const auto* text = reinterpret_cast<const char*>(bytes.data() + kLengthBytes);
  if (length == 0 || *text != '{') reject(path, "its header does not begin with {");
  return {text, length};
}

/// Parses the header and refuses what a plain parser lets pass: keys that occur twice, and deep nesting.
Json parse_header(const std::string& path, std::string_view text) {
  std::vector<std::set<std::string>> keys;
  auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    const auto level = static_cast<std::size_t>(std::max(depth, 0));
    if (level > 4) reject(path, "its header is nested too deeply");
    if (event == Json::parse_event_t::object_start) {
      keys.resize(level + 1);
      keys.emplace_back();
    } else if (event == Json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys.at(level).insert(key).second) reject(path, fmt::format("the key {} occurs twice", key));
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), check);
  } catch (const Json::exception& error) {
    reject(path, error.what());
  }
}

std::optional<std::uint64_t> unsigned_of(const Json& json) {
  if (!json.is_number_unsigned()) return std::nullopt;
  return json.get<std::uint64_t>();
}

struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string name;
};

/// One entry of the header, checked in itself: type, shape, and that its bytes are as many as its elements need.
TensorView entry_of(const std::string& path, const std::string& name, const Json& json, Extent& extent) {
  auto fail = [&](const std::string& why) { reject(path, fmt::format("tensor {}: {}", name, why)); };
  if (!json.is_object() || json.size() != 3 || !json.contains("dtype") || !json.contains("shape") ||
      !json.contains("data_offsets")) {
    fail("it needs exactly dtype, shape and data_offsets");
  }
  if (!json["dtype"].is_string()) fail("its dtype is not a string");
  const auto dtype = safetensors_dtype(json["dtype"].get_ref<const std::string&>());
  if (!dtype) fail(fmt::format("the type {} is not supported", json["dtype"].get_ref<const std::string&>()));
  const Json& offsets = json["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) fail("data_offsets are not two numbers");
  const auto begin = unsigned_of(offsets[0]);
  const auto end = unsigned_of(offsets[1]);
  if (!begin || !end || *begin > *end) fail("data_offsets are not two ascending numbers");
  const Json& extents = json["shape"];
  if (!extents.is_array()) fail("its shape is not a list");
  if (extents.size() > Shape::kMaxRank) fail(fmt::format("it has {} dims, at most 8 are supported", extents.size()));
  Shape shape;
  std::uint64_t bytes = size_of(*dtype);
  for (const Json& item : extents) {
    const auto value = unsigned_of(item);
    if (!value || *value > std::numeric_limits<std::int64_t>::max()) fail("its shape has an item that is no extent");
    if (__builtin_mul_overflow(bytes, *value, &bytes)) fail("its shape has too many elements");
    shape.push_back(static_cast<std::int64_t>(*value));
  }
  if (bytes != *end - *begin)
    fail(fmt::format("shape {} needs {} bytes, it has {}", shape.to_string(), bytes, *end - *begin));
  extent = {*begin, *end, name};
  return {nullptr, *dtype, shape};
}

/// The tensors must follow one another from the header to the end of the file.
void check_cover(const std::string& path, std::vector<Extent> extents, std::uint64_t data_bytes) {
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  std::uint64_t at = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != at) {
      reject(path, fmt::format("tensor {} begins at byte {} of the data, expected {}", extent.name, extent.begin, at));
    }
    at = extent.end;
  }
  if (at != data_bytes) reject(path, fmt::format("its tensors take {} bytes, {} are there", at, data_bytes));
}

SafetensorsMetadata metadata_of(const std::string& path, const Json& json) {
  if (!json.is_object()) reject(path, "__metadata__ is not an object");
  SafetensorsMetadata metadata;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) reject(path, fmt::format("__metadata__ {} is not a string", key));
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : path_(path), file_(MappedFile::open(path)) {
  const std::string_view text = header_text(path, file_->bytes());
  const Json header = parse_header(path, text);
  const auto data = file_->bytes().subspan(kLengthBytes + text.size());
  std::vector<Extent> extents;
  for (const auto& [name, json] : header.items()) {
    if (name == "__metadata__") {
      metadata_ = metadata_of(path, json);
      continue;
    }
    Extent extent;
    tensors_[name] = entry_of(path, name, json, extent);
    extents.push_back(std::move(extent));
  }
  check_cover(path, extents, data.size());
  for (const Extent& extent : extents) {
    // The mapping is read-only; TensorView has one pointer type for readers and writers.
    tensors_[extent.name].data = const_cast<std::byte*>(data.data() + extent.begin);
  }
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const auto& [name, view] : tensors_) names.push_back(name);
  return names;
}

TensorView SafetensorsFile::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? TensorView{} : found->second;
}

TensorView SafetensorsFile::get(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  constexpr std::size_t kListed = 12;
  auto known = names();
  const bool more = known.size() > kListed;
  if (more) known.resize(kListed);
  throw IoError(
      fmt::format("{} has no tensor {}; it has {}{}", path(), name, fmt::join(known, ", "), more ? ", ..." : ""));
}

}  // namespace dml
