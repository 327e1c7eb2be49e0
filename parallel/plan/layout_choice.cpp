#include "parallel/plan/layout_choice.h"

#include <algorithm>
#include <set>

namespace dml {
namespace {

std::vector<int> divisors(int number) {
  std::vector<int> result;
  for (int divisor = 1; divisor <= number; ++divisor) {
    if (number % divisor == 0) result.push_back(divisor);
  }
  return result;
}

std::vector<int> chunk_numbers(const ScheduleDef& schedule, int most) {
  if (!schedule.any_chunks) return {schedule.chunks};
  std::vector<int> result;
  for (int chunks = 2; chunks <= most; ++chunks) result.push_back(chunks);
  return result;
}

/// The layouts of one mesh and tensor mode: schedules, chunks and microbatches.
void add_schedules(std::vector<LayoutChoice>& layouts, const SearchSpace& space, LayoutChoice layout) {
  const std::vector<int> microbatches = microbatch_numbers(space.batch, layout.d, layout.p);
  for (const ScheduleDef* schedule : space.schedules) {
    layout.schedule = schedule;
    for (const int chunks : layout.p == 1 ? std::vector{1} : chunk_numbers(*schedule, space.most_chunks)) {
      layout.chunks = chunks;
      for (const int number : microbatches) {
        if (!space.microbatches.contains(number)) continue;
        layout.microbatches = number;
        layouts.push_back(layout);
      }
    }
    if (layout.p == 1) break;
  }
}

}  // namespace

std::vector<int> microbatch_numbers(std::int64_t batch, int d, int p) {
  const auto most = static_cast<int>(std::min<std::int64_t>(batch / d, std::numeric_limits<int>::max()));
  if (most == 0) return {1};
  const auto largest_part = static_cast<int>((batch + d - 1) / d);
  std::set<int> numbers;
  for (const int divisor : divisors(largest_part)) numbers.insert(divisor);
  for (const int factor : {1, 2, 4}) numbers.insert(factor * p);
  numbers.erase(numbers.upper_bound(most), numbers.end());
  return {numbers.begin(), numbers.end()};
}

std::vector<LayoutChoice> all_layouts(const SearchSpace& space) {
  std::vector<LayoutChoice> layouts;
  for (const int t : divisors(space.world)) {
    if (!space.t.contains(t)) continue;
    for (const SplitMode mode : space.modes) {
      for (const int p : divisors(space.world / t)) {
        const int d = space.world / t / p;
        if (space.p.contains(p) && space.d.contains(d))
          add_schedules(layouts, space, {.d = d, .p = p, .t = t, .mode = mode, .techniques = space.techniques.front()});
      }
      if (t == 1) break;
    }
  }
  return layouts;
}

}  // namespace dml
