// Levenshtein's distance by one row of the table, in |a|·|b| steps.
#include "launch/options/nearest.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace dml {

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

namespace {

bool is_start(std::string_view typed, std::string_view name) { return typed.size() >= 2 && name.starts_with(typed); }

/// The name that begins with what was typed, else the one with the fewest edits; empty where `names` is.
std::string_view nearest(std::string_view typed, std::span<const std::string_view> names) {
  const auto whole =
      std::find_if(names.begin(), names.end(), [&](std::string_view name) { return is_start(typed, name); });
  if (whole != names.end()) return *whole;
  const auto closer = [&](std::string_view a, std::string_view b) {
    return edit_distance(typed, a) < edit_distance(typed, b);
  };
  const auto found = std::min_element(names.begin(), names.end(), closer);
  return found == names.end() ? std::string_view{} : *found;
}

}  // namespace

std::string did_you_mean(std::string_view typed, std::span<const std::string_view> names, std::string_view prefix) {
  const std::string_view name = nearest(typed, names);
  const auto longest = static_cast<int>(std::max(typed.size(), name.size()));
  if (name.empty() || (!is_start(typed, name) && 2 * edit_distance(typed, name) > longest)) return {};
  return fmt::format(" (did you mean {}{}?)", prefix, name);
}

}  // namespace dml
