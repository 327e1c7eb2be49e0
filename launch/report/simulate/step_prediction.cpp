#include "launch/report/simulate/step_prediction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "launch/report/page/page_file.h"
#include "launch/terminal/number_text.h"
#include "launch/terminal/text_table.h"
#include "models/index.h"

namespace dml {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;

constexpr std::size_t kShownClasses = 32;

/// "3", or "0-6" where there are others between that may be of other classes.
std::string indices_text(const IndexClasses& classes, int first) {
  const int of = classes.of[index(first)];
  const auto last = std::find(classes.of.rbegin(), classes.of.rend(), of);
  const auto last_index = static_cast<int>(classes.of.rend() - last) - 1;
  return last_index == first ? std::to_string(first) : fmt::format("{}-{}", first, last_index);
}

std::string place_text(const RankClasses& classes, int rank) {
  const Coordinate at = classes.mesh().coordinate(rank);
  return fmt::format("d{} p{} t{}", indices_text(classes.replicas(), at.d), at.p,
                     indices_text(classes.tensors(), at.t));
}

TextTable parts_table(const StepPrediction& p) {
  TextTable table({{"rank"},
                   {"alike"},
                   {"place", Align::left},
                   {"step ms"},
                   {"compute"},
                   {"core wait"},
                   {"exposed comm"},
                   {"bubble"},
                   {"memory"}});
  for (std::size_t i = 0; i < std::min(p.step.parts.size(), kShownClasses); ++i) {
    const StepParts& s = p.step.parts[i];
    const int rank = p.classes.first_ranks()[i];
    std::vector<std::string> row{std::to_string(rank), std::to_string(p.classes.count(static_cast<int>(i))),
                                 place_text(p.classes, rank)};
    for (const double seconds : {s.step, s.compute, s.core_wait, s.exposed_comm, s.bubble})
      row.push_back(fmt::format("{:.3f}", seconds * kMsPerSecond));
    row.push_back(bytes_text(std::llround(p.memory[i].planned())));
    table.add_row(std::move(row));
  }
  return table;
}

/// The class that needs most of its device, or most where devices are not known.
std::size_t fullest_class(const StepPrediction& p) {
  std::size_t fullest = 0;
  const auto use = [&](std::size_t i) {
    return p.memory[i].planned() / (p.memory_limits[i] > 0 ? p.memory_limits[i] : 1);
  };
  for (std::size_t i = 1; i < p.memory.size(); ++i) fullest = use(i) > use(fullest) ? i : fullest;
  return fullest;
}

std::string memory_text(const StepPrediction& p) {
  const std::size_t fullest = fullest_class(p);
  const RankMemory& memory = p.memory[fullest];
  const auto bytes = [](double number) { return bytes_text(std::llround(number)); };
  std::string text =
      fmt::format("memory at most {}, of rank {}: parameters {}, gradients {}, optimizer {}, ", bytes(memory.planned()),
                  p.classes.first_ranks()[fullest], bytes(memory.weights.parameters), bytes(memory.weights.gradients),
                  bytes(memory.weights.optimizer_states));
  text += fmt::format("activations {}, fixed {}", bytes_text(memory.arena), bytes_text(memory.fixed));
  const double limit = p.memory_limits[fullest];
  if (limit == 0) return text;
  const char* than = memory.planned() > limit ? "more than the device has," : "the device has";
  return text + fmt::format("; {} {}", than, bytes(limit));
}

Json memory_json(const RankMemory& memory, double limit) {
  return {{"limit", std::llround(limit)},
          {"planned", std::llround(memory.planned())},
          {"parameters", std::llround(memory.weights.parameters)},
          {"gradients", std::llround(memory.weights.gradients)},
          {"optimizer_states", std::llround(memory.weights.optimizer_states)},
          {"fixed", memory.fixed},
          {"arena", memory.arena},
          {"activations", memory.activations}};
}

}  // namespace

std::string prediction_text(const StepPrediction& p, Style style) {
  std::string text = fmt::format("{} {} on {}\n\n", style.heading("Predicted step:"), p.model, p.hardware);
  const double flops_of_rank = p.flops_per_s() / p.num_ranks();
  text += fmt::format("  {:.3f} ms a step, {} samples/s, {} a rank", p.step.seconds * kMsPerSecond,
                      scaled_text(static_cast<double>(p.batch) / p.step.seconds), scaled_text(flops_of_rank, "FLOP/s"));
  if (p.peak > 0) text += fmt::format(", {:.1f} % of its peak", 100 * flops_of_rank / p.peak);
  text += fmt::format("\n  batch {}, {} ranks; one of each class of alike ranks is played: {}\n", p.batch,
                      p.num_ranks(), p.classes.size());
  text += "  " + memory_text(p) + "\n\n";
  text += parts_table(p).to_string(style);
  if (p.step.parts.size() > kShownClasses) text += fmt::format("  and {} more\n", p.step.parts.size() - kShownClasses);
  TextTable kinds({{"kind", Align::left}, {"tasks"}, {"ms per rank"}});
  for (const KindTotal& kind : p.kinds) {
    const double seconds = kind.seconds / p.num_ranks();
    kinds.add_row({kind.name, std::to_string(kind.tasks), fmt::format("{:.3f}", seconds * kMsPerSecond)});
  }
  return text + "\n" + kinds.to_string(style);
}

std::string prediction_json(const StepPrediction& p) {
  Json json{{"version", 2},
            {"model", p.model},
            {"hardware", p.hardware},
            {"batch", p.batch},
            {"ranks", p.num_ranks()},
            {"step_ms", p.step.seconds * kMsPerSecond},
            {"flops_per_s", p.flops_per_s()},
            {"classes", Json::array()},
            {"kinds", Json::array()}};
  for (std::size_t i = 0; i < p.step.parts.size(); ++i) {
    const StepParts& s = p.step.parts[i];
    const Coordinate at = p.classes.mesh().coordinate(p.classes.first_ranks()[i]);
    json["classes"].push_back({{"first_rank", p.classes.first_ranks()[i]},
                               {"ranks", p.classes.count(static_cast<int>(i))},
                               {"d", at.d},
                               {"p", at.p},
                               {"t", at.t},
                               {"step_ms", s.step * kMsPerSecond},
                               {"compute_ms", s.compute * kMsPerSecond},
                               {"core_wait_ms", s.core_wait * kMsPerSecond},
                               {"exposed_comm_ms", s.exposed_comm * kMsPerSecond},
                               {"bubble_ms", s.bubble * kMsPerSecond},
                               {"memory", memory_json(p.memory[i], p.memory_limits[i])}});
  }
  for (const KindTotal& kind : p.kinds) {
    json["kinds"].push_back(
        {{"name", kind.name}, {"tasks", kind.tasks}, {"ms", kind.seconds / p.num_ranks() * kMsPerSecond}});
  }
  return json.dump(1) + "\n";
}

std::string prediction_page(const StepPrediction& p, const std::string& step_chart) {
  return filled_page("simulate.html",
                     {{"prediction", json_for_page(prediction_json(p))}, {"step", json_for_page(step_chart)}});
}

}  // namespace dml
