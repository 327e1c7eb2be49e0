#include "parallel/plan/search.h"

#include <algorithm>
#include <map>
#include <memory>
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
  PricedModel(KeptGraphs& graphs, const Techniques& techniques, std::int64_t samples, const Hardware& hardware,
              const EstimateOptions& options)
      : techniques(techniques),
        model([&graphs, techniques](std::int64_t size) { return graphs.with(techniques, size); }, samples),
        estimator(model, hardware, options) {}

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
    for (const Techniques& techniques : space.techniques) {
      const bool is_last = techniques == space.techniques.back();
      const bool is_first = techniques.recompute == space.techniques.front().recompute;
      if (is_first || is_last || changes_model(techniques)) layouts = price(std::move(layouts), techniques, is_last);
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
      priced_ = std::make_unique<PricedModel>(graphs_, techniques, samples_, hardware_, options_);
    return priced_->estimator;
  }

  /// What of `layouts` lacks memory, unless these techniques are the last.
  std::vector<LayoutChoice> price(std::vector<LayoutChoice> layouts, const Techniques& techniques, bool is_last) {
    std::vector<LayoutChoice> lacking;
    for (LayoutChoice& layout : layouts) {
      layout.techniques = techniques;
      try {
        result_.ranked.push_back({layout, estimator_of(techniques).estimate(layout)});
      } catch (const ImpossibleLayout& error) {
        if (error.why == Obstacle::memory && !is_last) {
          lacking.push_back(layout);
        } else {
          result_.rejected.push_back({layout, error.why, error.what()});
        }
      }
    }
    return lacking;
  }

  KeptGraphs& graphs_;
  std::int64_t samples_;
  const Hardware& hardware_;
  const EstimateOptions& options_;
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
