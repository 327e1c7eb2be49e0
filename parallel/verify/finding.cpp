#include "parallel/verify/finding.h"

#include <fmt/format.h>

namespace dml {

std::string Finding::to_string() const {
  std::string place = rank < 0 ? "" : fmt::format("rank {}", rank);
  if (!where.empty()) place += (place.empty() ? "" : ", ") + where;
  if (task >= 0) place += fmt::format(" (task {})", task);
  return place.empty() ? what : place + ": " + what;
}

Finding finding_at(const RankTasks& rank, std::size_t task, std::string what) {
  return {std::move(what), rank.rank, static_cast<std::int32_t>(task), rank.tasks[task].id.to_string()};
}

}  // namespace dml
