// The name that a person probably meant.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace dml {

/// Fewest insertions, deletions and replacements of one character that turn `a` into `b`.
int edit_distance(std::string_view a, std::string_view b);

/// " (did you mean --layout?)" for the closest name with `prefix` before it; empty where nothing is near: more than
/// half of the letters differ.
std::string did_you_mean(std::string_view typed, std::span<const std::string_view> names, std::string_view prefix = "");

}  // namespace dml
