// Builds the rows of the option table: one function per type of value. `access` is a generic lambda that returns a
// reference into the Config it is given, const or not.
#pragma once

#include <limits>
#include <optional>
#include <utility>

#include "launch/options/option_table.h"
#include "launch/options/usage_error.h"

namespace dml {

/// The whole of `text` as a number. Throw UsageError with the text and the bounds.
std::int64_t parse_integer(const std::string& text, std::int64_t least, std::int64_t most);
double parse_real(const std::string& text, double least, double most);
bool parse_flag(const std::string& text);
/// The index of `text` in `names`; throws UsageError with all of them.
std::size_t parse_choice(const std::string& text, std::span<const std::string_view> names);

/// What `parse` gives; its UsageError with `name`, of an option, before it.
template <typename Parse>
auto under_name(const std::string& name, Parse parse) {
  try {
    return parse();
  } catch (const UsageError& error) {
    throw UsageError(name + ": " + error.what());
  }
}
/// "NAME=VALUE" at the first '='; throws UsageError where there is none, or nothing on a side.
std::pair<std::string, std::string> parse_pair(const std::string& text);
/// The shortest text that reads back as the same number.
std::string write_real(double number);

inline constexpr std::string_view kAuto = "auto";

template <typename Access>
OptionSpec text_option(OptionSpec row, Access access) {
  row.kind = OptionKind::text;
  row.set = [access](Config& c, std::span<const std::string> values) { access(c) = values.back(); };
  row.get = [access](const Config& c) { return std::vector<std::string>{access(c)}; };
  return row;
}

/// A text that must be one of `names`. "auto" is kept as the empty text where `auto_is_empty`.
template <typename Access>
OptionSpec name_option(OptionSpec row, const std::vector<std::string_view>& names, bool auto_is_empty, Access access) {
  row.kind = OptionKind::text;
  row.choices.assign(names.begin(), names.end());
  row.set = [access, names, auto_is_empty](Config& c, std::span<const std::string> values) {
    const std::string_view name = names[parse_choice(values.back(), names)];
    access(c) = auto_is_empty && name == kAuto ? std::string_view{} : name;
  };
  row.get = [access](const Config& c) {
    const std::string& text = access(c);
    return std::vector<std::string>{text.empty() ? std::string(kAuto) : text};
  };
  return row;
}

/// An enumeration; `names` in the order of its values.
template <typename Access>
OptionSpec enum_option(OptionSpec row, const std::vector<std::string_view>& names, Access access) {
  row.kind = OptionKind::text;
  row.choices.assign(names.begin(), names.end());
  row.set = [access, names](Config& c, std::span<const std::string> values) {
    using Enum = std::remove_cvref_t<decltype(access(c))>;
    access(c) = static_cast<Enum>(parse_choice(values.back(), names));
  };
  row.get = [access, names](const Config& c) {
    return std::vector<std::string>{std::string(names[static_cast<std::size_t>(access(c))])};
  };
  return row;
}

/// A whole number from `least` to `most`. Where `zero_is_auto`, "auto" stands for 0.
template <typename Access>
OptionSpec integer_option(OptionSpec row, std::int64_t least, bool zero_is_auto, Access access,
                          std::int64_t most = std::numeric_limits<std::int64_t>::max()) {
  row.kind = OptionKind::number;
  row.set = [access, least, zero_is_auto, most](Config& c, std::span<const std::string> values) {
    using Integer = std::remove_cvref_t<decltype(access(c))>;
    constexpr auto kMost = std::numeric_limits<Integer>::max();
    const std::int64_t bound = std::cmp_less(kMost, most) ? static_cast<std::int64_t>(kMost) : most;
    const bool is_auto = zero_is_auto && values.back() == kAuto;
    access(c) = static_cast<Integer>(is_auto ? 0 : parse_integer(values.back(), least, bound));
  };
  row.get = [access, zero_is_auto](const Config& c) {
    const auto number = access(c);
    return std::vector<std::string>{zero_is_auto && number == 0 ? std::string(kAuto) : std::to_string(number)};
  };
  return row;
}

/// A real number in [least, most].
template <typename Access>
OptionSpec real_option(OptionSpec row, double least, double most, Access access) {
  row.kind = OptionKind::number;
  row.set = [access, least, most](Config& c, std::span<const std::string> values) {
    access(c) = parse_real(values.back(), least, most);
  };
  row.get = [access](const Config& c) { return std::vector<std::string>{write_real(access(c))}; };
  return row;
}

/// A switch; where `inverted`, the option turns a member off.
template <typename Access>
OptionSpec flag_option(OptionSpec row, bool inverted, Access access) {
  row.kind = OptionKind::flag;
  row.set = [access, inverted](Config& c, std::span<const std::string> values) {
    access(c) = parse_flag(values.back()) != inverted;
  };
  row.get = [access, inverted](const Config& c) {
    return std::vector<std::string>{access(c) != inverted ? "true" : "false"};
  };
  return row;
}

/// Texts, each given by itself.
template <typename Access>
OptionSpec list_option(OptionSpec row, Access access) {
  row.kind = OptionKind::list;
  row.set = [access](Config& c, std::span<const std::string> values) {
    access(c).assign(values.begin(), values.end());
  };
  row.get = [access](const Config& c) { return access(c); };
  return row;
}

}  // namespace dml
