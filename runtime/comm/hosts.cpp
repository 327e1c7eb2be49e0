#include "runtime/comm/hosts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

namespace dml {

int HostTable::first_rank(int host) const {
  return static_cast<int>(std::ranges::find(of_rank, host) - of_rank.begin());
}

std::string HostTable::describe(int host) const {
  std::vector<int> ranks;
  for (std::size_t rank = 0; rank < of_rank.size(); ++rank) {
    if (of_rank[rank] == host) ranks.push_back(static_cast<int>(rank));
  }
  return fmt::format("host {} ({})", names[static_cast<std::size_t>(host)], name_ranks(ranks));
}

HostTable make_hosts(std::span<const std::string> name_of_rank) {
  HostTable hosts;
  std::map<std::string, int> numbers;
  for (const std::string& name : name_of_rank) {
    const auto [entry, is_first] = numbers.try_emplace(name, hosts.size());
    if (is_first) hosts.names.push_back(name);
    hosts.of_rank.push_back(entry->second);
  }
  return hosts;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "?";
}

std::string name_ranks(std::span<const int> ranks) {
  constexpr std::size_t kMost = 8;
  const auto shown = ranks.first(std::min(ranks.size(), kMost));
  std::string text = fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(shown, ", "));
  if (shown.size() < ranks.size()) text += fmt::format(" and {} more", ranks.size() - shown.size());
  return text;
}

}  // namespace dml
