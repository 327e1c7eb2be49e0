#include "parallel/memory/memory_plan.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace dml {
namespace {

/// The holes of an arena that grows at its end.
class FreeSpace {
 public:
  std::int64_t take(std::int64_t bytes) {
    const auto fit = by_size_.lower_bound({bytes, 0});
    if (fit != by_size_.end()) {
      const auto [size, offset] = *fit;
      erase(offset, size);
      if (size > bytes) insert(offset + bytes, size - bytes);
      return offset;
    }
    // Nothing holds it: grow, beginning in the last hole if that reaches the end.
    std::int64_t offset = end_;
    if (!by_offset_.empty()) {
      const auto [last_offset, last_size] = *by_offset_.rbegin();
      if (last_offset + last_size == end_) {
        erase(last_offset, last_size);
        offset = last_offset;
      }
    }
    end_ = offset + bytes;
    return offset;
  }

  void give(std::int64_t offset, std::int64_t bytes) {
    auto next = by_offset_.lower_bound(offset);
    if (next != by_offset_.end() && next->first == offset + bytes) {
      bytes += next->second;
      erase(next->first, next->second);
    }
    next = by_offset_.lower_bound(offset);
    if (next != by_offset_.begin()) {
      const auto [before, size] = *std::prev(next);
      if (before + size == offset) {
        erase(before, size);
        offset = before;
        bytes += size;
      }
    }
    insert(offset, bytes);
  }

  std::int64_t end() const { return end_; }

 private:
  void insert(std::int64_t offset, std::int64_t size) {
    by_offset_.emplace(offset, size);
    by_size_.emplace(size, offset);
  }
  void erase(std::int64_t offset, std::int64_t size) {
    by_offset_.erase(offset);
    by_size_.erase({size, offset});
  }

  std::map<std::int64_t, std::int64_t> by_offset_;
  std::set<std::pair<std::int64_t, std::int64_t>> by_size_;
  std::int64_t end_ = 0;
};

}  // namespace

MemoryPlan plan_memory(std::span<const Lifetime> lifetimes) {
  std::vector<std::size_t> by_birth(lifetimes.size());
  std::iota(by_birth.begin(), by_birth.end(), std::size_t{0});
  std::stable_sort(by_birth.begin(), by_birth.end(),
                   [&](std::size_t a, std::size_t b) { return lifetimes[a].first < lifetimes[b].first; });
  MemoryPlan plan;
  plan.offsets.resize(lifetimes.size());
  FreeSpace space;
  std::multimap<std::int32_t, std::size_t> alive;  // by last position
  for (const std::size_t i : by_birth) {
    while (!alive.empty() && alive.begin()->first < lifetimes[i].first) {
      const std::size_t dead = alive.begin()->second;
      space.give(plan.offsets[dead], aligned_bytes(lifetimes[dead].bytes));
      alive.erase(alive.begin());
    }
    if (lifetimes[i].bytes == 0) continue;
    plan.offsets[i] = space.take(aligned_bytes(lifetimes[i].bytes));
    alive.emplace(lifetimes[i].last, i);
  }
  plan.peak_bytes = space.end();
  return plan;
}

}  // namespace dml
