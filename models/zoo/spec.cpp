#include "models/zoo/spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>

#include "kernels/error.h"

namespace dml {
namespace {

template <typename T>
std::optional<T> parse(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Levenshtein's distance, one row of the table at a time.
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

void ModelSpec::fail(const std::string& key, const std::string& wanted) const {
  throw ModelError(fmt::format("{}: {}={} is not {}", name_, key, values_.at(key), wanted));
}

std::int64_t ModelSpec::integer(const std::string& key, std::int64_t least, std::int64_t most) const {
  const auto value = parse<std::int64_t>(values_.at(key));
  if (!value || *value < least || *value > most) fail(key, fmt::format("a whole number from {} to {}", least, most));
  return *value;
}

bool ModelSpec::flag(const std::string& key) const { return integer(key, 0, 1) != 0; }

double ModelSpec::fraction(const std::string& key) const {
  const auto value = parse<double>(values_.at(key));
  if (!value || !(*value >= 0) || !(*value < 1)) fail(key, "a number from 0 to below 1");
  return *value;
}

std::vector<std::int64_t> ModelSpec::sizes(const std::string& key, std::int64_t most) const {
  std::vector<std::int64_t> sizes;
  std::string_view text = values_.at(key);
  while (true) {
    const std::size_t end = std::min(text.find('x'), text.size());
    const auto value = parse<std::int64_t>(text.substr(0, end));
    if (!value || *value < 1 || *value > most)
      fail(key, fmt::format("sizes from 1 to {} with x between, as 128x64", most));
    sizes.push_back(*value);
    if (end == text.size()) return sizes;
    text.remove_prefix(end + 1);
  }
}

std::string_view nearest(std::string_view word, std::span<const std::string> known) {
  std::string_view best;
  std::size_t fewest = word.size() / 2 + 1;
  for (const std::string& candidate : known) {
    const std::size_t distance = edits(word, candidate);
    if (distance < fewest) {
      fewest = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace dml
