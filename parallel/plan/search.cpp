#include "parallel/plan/search.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace dml {
namespace {

/// The graphs of the model, made once for all techniques.
class KeptGraphs {
 public:
  explicit KeptGraphs(const GraphOfBatch& graph_of) : graph_of_(graph_of) {}
  Graph with(const Techniques& techniques, std::int64_t samples) {
    auto found = graphs_.find(samples);
    if (found == graphs_.end()) found = graphs_.emplace(samples, graph_of_(samples)).first;
    return with_techniques(found->second, techniques);
  }

 private:
  const GraphOfBatch& graph_of_;
  std::map<std::int64_t, Graph> graphs_;
};

/// The model of one recomputation and dtype, and what prices its layouts.
struct PricedModel {
  PricedModel(KeptGraphs& graphs, const Techniques& techniques, std::int64_t samples, ScheduleCache& schedules,
              const Hardware& hardware, const EstimateOptions& options)
      : techniques(techniques),
        model([&graphs, techniques](std::int64_t size) { return graphs.with(techniques, size); }, samples),
        estimator(model, schedules, hardware, options) {}

  Techniques techniques;
  CutModel model;
  Estimator estimator;
};

class Search {
 public:
  Search(KeptGraphs& graphs, std::int64_t samples, const Hardware& hardware, const EstimateOptions& options)
      : graphs_(graphs), samples_(samples), hardware_(hardware), options_(options) {}

  SearchResult run(const SearchSpace& space) {
    std::vector<LayoutChoice> layouts = all_layouts(space);
    std::span<const Techniques> rest = space.techniques;
    while (!rest.empty()) {
      const auto other = std::ranges::find_if(
          rest, [&](const Techniques& techniques) { return techniques.recompute != rest.front().recompute; });
      const auto group = rest.first(static_cast<std::size_t>(other - rest.begin()));
      const bool is_first = rest.size() == space.techniques.size();
      rest = rest.subspan(group.size());
      if (is_first || rest.empty() || changes_model(group.front()))
        layouts = price(std::move(layouts), group, rest.empty());
    }
    std::stable_sort(result_.ranked.begin(), result_.ranked.end(), [](const RankedLayout& a, const RankedLayout& b) {
      return std::pair(a.estimate.seconds, a.estimate.memory.total()) <
             std::pair(b.estimate.seconds, b.estimate.memory.total());
    });
    return std::move(result_);
  }

 private:
  /// Not every model has an attention to recompute.
  bool changes_model(const Techniques& techniques) {
    if (techniques.recompute == Recompute::none) return true;
    return graphs_.with(techniques, samples_).num_nodes() != graphs_.with({}, samples_).num_nodes();
  }

  Estimator& estimator_of(const Techniques& techniques) {
    if (!priced_ || priced_->techniques.recompute != techniques.recompute)
      priced_ = std::make_unique<PricedModel>(graphs_, techniques, samples_, schedules_, hardware_, options_);
    return priced_->estimator;
  }

  /// With the first of techniques of one recomputation that fit. What of `layouts` lacks memory with all of them,
  /// unless they are the last.
  std::vector<LayoutChoice> price(std::vector<LayoutChoice> layouts, std::span<const Techniques> group, bool is_last) {
    std::vector<LayoutChoice> lacking;
    for (LayoutChoice& layout : layouts) {
      const std::optional<RejectedLayout> rejected = price(layout, group);
      if (!rejected) continue;
      if (rejected->why == Obstacle::memory && !is_last) {
        lacking.push_back(layout);
      } else {
        result_.rejected.push_back(*rejected);
      }
    }
    return lacking;
  }

  std::optional<RejectedLayout> price(LayoutChoice& layout, std::span<const Techniques> group) {
    std::optional<RejectedLayout> rejected;
    for (const Techniques& techniques : group) {
      layout.techniques = techniques;
      rejected = refusal_of(layout);
      if (!rejected || rejected->why != Obstacle::memory) break;
    }
    return rejected;
  }

  /// Nothing where the layout is possible, and ranked.
  std::optional<RejectedLayout> refusal_of(const LayoutChoice& layout) {
    try {
      result_.ranked.push_back({layout, estimator_of(layout.techniques).estimate(layout)});
      return std::nullopt;
    } catch (const ImpossibleLayout& error) {
      return RejectedLayout{layout, error.why, error.what()};
    }
  }

  KeptGraphs& graphs_;
  std::int64_t samples_;
  const Hardware& hardware_;
  const EstimateOptions& options_;
  ScheduleCache schedules_;
  std::unique_ptr<PricedModel> priced_;  ///< of the techniques before
  SearchResult result_;
};

}  // namespace

SearchResult search_layouts(const GraphOfBatch& model, std::int64_t samples, const Hardware& hardware,
                            const SearchSpace& space, const EstimateOptions& options,
                            const EstimateOptions& on_one_device) {
  KeptGraphs graphs(model);
  SearchResult result = Search(graphs, samples, hardware, options).run(space);
  SearchSpace one;
  one.batch = space.batch;
  one.schedules = {&find_schedule("1f1b")};
  one.techniques = {space.techniques.front()};
  const SearchResult alone = Search(graphs, samples, hardware, on_one_device).run(one);
  if (!alone.ranked.empty()) result.one_device_seconds = alone.ranked.front().estimate.seconds;
  return result;
}

}  // namespace dml
