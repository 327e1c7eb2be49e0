#include "launch/options/option_makers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cmath>

#include "launch/options/nearest.h"
#include "launch/options/usage_error.h"

namespace dml {
namespace {

/// Reads all of `text`; throws UsageError where it is not `what`, or too large for its type.
template <typename Number>
Number read_all(const std::string& text, std::string_view what) {
  const char* first = text.data() + (text.starts_with('+') ? 1 : 0);
  const char* last = text.data() + text.size();
  Number number{};
  const auto result = std::from_chars(first, last, number);
  if (result.ptr != last || result.ec == std::errc::invalid_argument) {
    throw UsageError(fmt::format("'{}' is not {}", text, what));
  }
  if (result.ec != std::errc()) throw UsageError(fmt::format("{} is out of range", text));
  return number;
}

}  // namespace

std::int64_t parse_integer(const std::string& text, std::int64_t least, std::int64_t most) {
  const auto number = read_all<std::int64_t>(text, "a whole number");
  if (number < least) throw UsageError(fmt::format("{} is too small: at least {}", number, least));
  if (number > most) throw UsageError(fmt::format("{} is too large: at most {}", number, most));
  return number;
}

double parse_real(const std::string& text, double least, double most) {
  const auto number = read_all<double>(text, "a number");
  if (!std::isfinite(number)) throw UsageError(fmt::format("'{}' is not a number", text));
  if (number < least) throw UsageError(fmt::format("{} is too small: at least {}", number, least));
  if (number > most) throw UsageError(fmt::format("{} is too large: at most {}", number, most));
  return number;
}

bool parse_flag(const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  throw UsageError(fmt::format("'{}' is neither true nor false", text));
}

std::size_t parse_choice(const std::string& text, std::span<const std::string_view> names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == text) return i;
  }
  throw UsageError(fmt::format("'{}' is not one of {}{}", text, fmt::join(names, ", "), did_you_mean(text, names)));
}

std::pair<std::string, std::string> parse_pair(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    throw UsageError(fmt::format("'{}' is not of the form NAME=VALUE", text));
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::string write_real(double number) { return fmt::format("{}", number); }

}  // namespace dml
