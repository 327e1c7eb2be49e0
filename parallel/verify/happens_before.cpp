#include "parallel/verify/happens_before.h"

#include <algorithm>

namespace dml {
namespace {

constexpr auto kCompute = static_cast<std::size_t>(QueueId::compute);
static_assert(kCompute == 0 && kQueues == static_cast<std::size_t>(QueueId::data_comm) + 1);

}  // namespace

HappensBefore::HappensBefore(const RankTasks& rank) : rank_(rank) {
  ends_.reserve(rank.tasks.size());
  for (Clock& clock : last_) clock.fill(-1);
}

void HappensBefore::join(Clock& clock, const Clock& other) {
  for (std::size_t q = 0; q < kQueues; ++q) clock[q] = std::max(clock[q], other[q]);
}

void HappensBefore::take(bool adds_gradient) {
  const auto at = static_cast<std::int32_t>(ends_.size());
  const Task& task = rank_.tasks[ends_.size()];
  const auto queue = static_cast<std::size_t>(task.queue);
  begin_ = last_[queue];
  for (const std::int32_t dep : rank_.deps_of(task)) {
    if (dep >= 0 && dep < at) join(begin_, ends_[static_cast<std::size_t>(dep)]);
  }
  Clock end = begin_;
  end[queue] = at;
  if (adds_gradient) {
    join(end, last_[kCompute]);
    end[kCompute] = at;
    last_[kCompute] = end;
  }
  last_[queue] = end;
  ends_.push_back(end);
}

bool HappensBefore::is_over(std::int32_t earlier) const {
  const auto queue = static_cast<std::size_t>(rank_.tasks[static_cast<std::size_t>(earlier)].queue);
  return begin_[queue] >= earlier;
}

}  // namespace dml
