#include "parallel/plan/search.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>

namespace dml {
namespace {

/// body(i) for all i < count, in so many threads; the first exception that was thrown is thrown on.
template <typename Body>
void for_each_index(std::size_t count, int threads, const Body& body) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (std::size_t i = next++; i < count; i = next++) body(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> others;
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

/// The graphs of the model, made once for all techniques. Of one thread at a time.
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

/// Layouts of one t and tensor mode, which share prices: what one thread does at a time.
struct Share {
  std::vector<LayoutChoice> layouts;
  std::vector<RankedLayout> ranked;
  std::vector<RejectedLayout> rejected;
  std::vector<LayoutChoice> lacking;  ///< of memory
};

std::vector<Share> shares_of(std::span<const LayoutChoice> layouts) {
  std::vector<Share> shares;
  for (const LayoutChoice& layout : layouts) {
    const bool begins = shares.empty() || shares.back().layouts.back().t != layout.t ||
                        shares.back().layouts.back().mode != layout.mode;
    if (begins) shares.emplace_back();
    shares.back().layouts.push_back(layout);
  }
  return shares;
}

/// Prices a share with the first of `group`, techniques of one recomputation, that fit.
class SharePricer {
 public:
  SharePricer(Share& share, std::span<const Techniques> group, bool is_last, Estimator estimator)
      : share_(share), group_(group), is_last_(is_last), estimator_(std::move(estimator)) {}

  /// What lacks memory with all of the techniques is put aside, unless they are the last.
  void run() {
    for (LayoutChoice& layout : share_.layouts) {
      std::optional<RejectedLayout> rejected = price(layout);
      if (!rejected) continue;
      if (rejected->why == Obstacle::memory && !is_last_) {
        share_.lacking.push_back(layout);
      } else {
        share_.rejected.push_back(*std::move(rejected));
      }
    }
  }

 private:
  std::optional<RejectedLayout> price(LayoutChoice& layout) {
    std::optional<RejectedLayout> rejected;
    for (const Techniques& techniques : group_) {
      layout.techniques = techniques;
      rejected = refusal_of(layout);
      if (!rejected || rejected->why != Obstacle::memory) break;
    }
    return rejected;
  }

  /// Nothing where the layout is possible, and ranked.
  std::optional<RejectedLayout> refusal_of(const LayoutChoice& layout) {
    try {
      share_.ranked.push_back({layout, estimator_.estimate(layout)});
      return std::nullopt;
    } catch (const ImpossibleLayout& error) {
      return RejectedLayout{layout, error.why, error.what()};
    }
  }

  Share& share_;
  std::span<const Techniques> group_;
  bool is_last_;
  Estimator estimator_;
};

class Search {
 public:
  Search(KeptGraphs& graphs, std::int64_t samples, const Hardware& hardware, const EstimateOptions& options,
         int threads)
      : graphs_(graphs), samples_(samples), hardware_(hardware), options_(options), threads_(threads) {}

  SearchResult run(const SearchSpace& space) {
    std::vector<LayoutChoice> layouts = all_layouts(space);
    std::span<const Techniques> rest = space.techniques;
    while (!rest.empty()) {
      const auto other = std::ranges::find_if(
          rest, [&](const Techniques& techniques) { return techniques.recompute != rest.front().recompute; });
      const auto group = rest.first(static_cast<std::size_t>(other - rest.begin()));
      const bool is_first = rest.size() == space.techniques.size();
      rest = rest.subspan(group.size());
      if (is_first || rest.empty() || changes_model(group.front())) layouts = price(layouts, group, rest.empty());
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

  /// What is left for other recomputations.
  std::vector<LayoutChoice> price(std::span<const LayoutChoice> layouts, std::span<const Techniques> group,
                                  bool is_last) {
    CutModel model([this, techniques = group.front()](std::int64_t size) { return graphs_.with(techniques, size); },
                   samples_);
    schedules_.begin_model();
    std::vector<Share> shares = shares_of(layouts);
    for_each_index(shares.size(), threads_, [&](std::size_t i) {
      SharePricer(shares[i], group, is_last, Estimator(model, schedules_, hardware_, options_)).run();
    });
    std::vector<LayoutChoice> lacking;
    for (Share& share : shares) {
      std::ranges::move(share.ranked, std::back_inserter(result_.ranked));
      std::ranges::move(share.rejected, std::back_inserter(result_.rejected));
      std::ranges::move(share.lacking, std::back_inserter(lacking));
    }
    return lacking;
  }

  KeptGraphs& graphs_;
  std::int64_t samples_;
  const Hardware& hardware_;
  const EstimateOptions& options_;
  int threads_;
  ScheduleCache schedules_;
  SearchResult result_;
};

}  // namespace

SearchResult search_layouts(const GraphOfBatch& model, std::int64_t samples, const Hardware& hardware,
                            const SearchSpace& space, const EstimateOptions& options,
                            const EstimateOptions& on_one_device, int threads) {
  KeptGraphs graphs(model);
  SearchResult result = Search(graphs, samples, hardware, options, threads).run(space);
  SearchSpace one;
  one.batch = space.batch;
  one.schedules = {&find_schedule("1f1b")};
  one.techniques = {space.techniques.front()};
  const SearchResult alone = Search(graphs, samples, hardware, on_one_device, 1).run(one);
  if (!alone.ranked.empty()) result.one_device_seconds = alone.ranked.front().estimate.seconds;
  return result;
}

}  // namespace dml
