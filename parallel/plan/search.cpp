#include "parallel/plan/search.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace dml {
namespace {

SearchResult priced(const std::vector<LayoutChoice>& layouts, Estimator estimator) {
  SearchResult result;
  for (const LayoutChoice& layout : layouts) {
    try {
      result.ranked.push_back({layout, estimator.estimate(layout)});
    } catch (const ImpossibleLayout& error) {
      result.rejected.push_back({layout, error.why, error.what()});
    }
  }
  std::stable_sort(result.ranked.begin(), result.ranked.end(), [](const RankedLayout& a, const RankedLayout& b) {
    return std::pair(a.estimate.seconds, a.estimate.memory.total()) <
           std::pair(b.estimate.seconds, b.estimate.memory.total());
  });
  return result;
}

}  // namespace

SearchResult search_layouts(CutModel& model, const Hardware& hardware, const SearchSpace& space,
                            const EstimateOptions& options, const EstimateOptions& on_one_device) {
  SearchResult result = priced(all_layouts(space), Estimator(model, hardware, options));
  SearchSpace one;
  one.batch = space.batch;
  one.schedules = {&find_schedule("1f1b")};
  const SearchResult alone = priced(all_layouts(one), Estimator(model, hardware, on_one_device));
  if (!alone.ranked.empty()) result.one_device_seconds = alone.ranked.front().estimate.seconds;
  return result;
}

}  // namespace dml
