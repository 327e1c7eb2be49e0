#include "launch/doctor/minimum_versions.h"

#include <charconv>

namespace dml {

bool at_least(std::string_view version, std::string_view least) {
  const auto next = [](std::string_view& text) {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.starts_with('.')) text.remove_prefix(1);
    return number;
  };
  while (!least.empty()) {
    const int wanted = next(least);
    const int got = next(version);
    if (got != wanted) return got > wanted;
  }
  return true;
}

}  // namespace dml
