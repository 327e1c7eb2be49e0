#include "launch/report/run/run_page.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "launch/options/config_file.h"
#include "launch/report/page/page_file.h"
#include "launch/terminal/number_text.h"
#include "launch/version.h"

namespace dml {
namespace {

using Json = nlohmann::ordered_json;

std::string counted(std::int64_t number, const std::string& word, const std::string& plural) {
  return fmt::format("{} {}", grouped_text(number), number == 1 ? word : plural);
}

std::string layout_words(const RunPlan& plan) {
  std::string text =
      fmt::format("d={} p={} t={}: {}", plan.d, plan.p, plan.t, counted(plan.d * plan.p * plan.t, "rank", "ranks"));
  if (plan.p > 1) text += ", schedule " + plan.schedule;
  if (plan.t > 1) text += ", tensor mode " + plan.tensor_mode;
  return text;
}

std::string machine_text(const RunPlan& plan) {
  std::set<std::string> hosts;
  for (const RankPlan& rank : plan.ranks) hosts.insert(rank.host);
  const std::string where = hosts.size() == 1 ? *hosts.begin() : fmt::format("{} hosts", hosts.size());
  return fmt::format("{}: {} each, {}, {}", where, counted(plan.usable_cores, "usable core", "usable cores"),
                     counted(plan.threads_per_rank, "thread per rank", "threads per rank"), plan.instruction_set);
}

/// What was run, in rows of a name and a text.
Json facts_of(const std::string& folder, const RunPlan& plan, const RunSummary& summary) {
  const auto row = [](const char* name, const std::string& text) { return Json{name, text}; };
  return Json::array(
      {row("model", fmt::format("{}, {}, {} a step", plan.model, counted(plan.parameters, "parameter", "parameters"),
                                scaled_text(plan.flops_per_step, "FLOP"))),
       row("data", fmt::format("{}, batch {} in {} of each replica", plan.data, plan.batch,
                               counted(plan.microbatches, "microbatch", "microbatches"))),
       row("layout", layout_words(plan)), row("backend", plan.backend), row("machine", machine_text(plan)),
       row("length", fmt::format("{} in {}", counted(plan.num_steps, "step", "steps"), seconds_text(summary.seconds))),
       row("version", version_text()), row("command", fmt::format("dmltrain --config {}/config.toml", folder))});
}

Json rank_json(const RankStep& step, const RankPlan& plan) {
  return {{"rank", step.rank},
          {"place", fmt::format("d{} p{} t{}", plan.at.d, plan.at.p, plan.at.t)},
          {"host", plan.host},
          {"layers", plan.layers},
          {"parameters", plan.parameters},
          {"planned_bytes", plan.planned_bytes},
          {"used_bytes", plan.used_bytes},
          {"step_ms", step.parts.step * kMsPerSecond},
          {"compute_ms", step.parts.compute * kMsPerSecond},
          {"core_wait_ms", step.parts.core_wait * kMsPerSecond},
          {"exposed_comm_ms", step.parts.exposed_comm * kMsPerSecond},
          {"bubble_ms", step.parts.bubble * kMsPerSecond},
          {"other_ms", step.parts.other * kMsPerSecond}};
}

Json ranks_json(const RunSummary& summary) {
  Json json = Json::array();
  for (const RankStep& step : summary.mean_steps) {
    const auto rank = static_cast<std::size_t>(step.rank);
    json.push_back(rank_json(step, rank < summary.ranks.size() ? summary.ranks[rank] : RankPlan{}));
  }
  return json;
}

Json comm_json(const std::vector<CommTotals>& kinds) {
  Json json = Json::array();
  for (const CommTotals& kind : kinds) {
    json.push_back({{"kind", kind.kind},
                    {"ranks", kind.group_size},
                    {"count", kind.count},
                    {"bytes", kind.bytes},
                    {"seconds", kind.seconds}});
  }
  return json;
}

/// Names of nodes and files need not be UTF-8.
std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string run_page(const std::string& folder, const Config& config, const RunPlan& plan, const RunSummary& summary,
                     const RunHistory& history, const std::string& step_chart) {
  const Json run{{"folder", folder},
                 {"num_steps", plan.num_steps},
                 {"facts", facts_of(folder, plan, summary)},
                 {"notes", plan.notes},
                 {"config", write_config(config)},
                 {"ranks", ranks_json(summary)},
                 {"communication", comm_json(summary.comm)},
                 {"sample", summary.sample}};
  return filled_page("run.html", {{"run", json_for_page(text_of(run))},
                                  {"history", json_for_page(history.json())},
                                  {"step", json_for_page(step_chart)}});
}

}  // namespace dml
