#include "launch/trace/rank_in_name.h"

#include <charconv>

namespace dml {

std::optional<int> number_after(std::string_view name, std::string_view word) {
  const std::size_t place = name.find(word);
  if (place == std::string_view::npos) return std::nullopt;
  int number = 0;
  const char* begin = name.data() + place + word.size();
  const auto [end, error] = std::from_chars(begin, name.data() + name.size(), number);
  if (error != std::errc{} || number < 0) return std::nullopt;
  return number;
}

std::optional<int> rank_in_name(std::string_view name) {
  for (const std::string_view word : {"rank_", "rank-", "rank.", "rank"}) {
    if (const std::optional<int> rank = number_after(name, word)) return rank;
  }
  return std::nullopt;
}

}  // namespace dml
