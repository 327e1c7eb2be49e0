#include "launch/report/pages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "launch/terminal/number_text.h"
#include "launch/terminal/text_table.h"

namespace dml {
namespace {

using Align = TextTable::Align;

std::string place_text(const Coordinate& at) { return fmt::format("d{} p{} t{}", at.d, at.p, at.t); }

std::string fact(std::string_view name, const std::string& text, Style style) {
  return fmt::format("  {}{}{}\n", style.strong(name), std::string(10 - name.size(), ' '), text);
}

std::string joined(const std::vector<std::string>& parts) { return fmt::format("{}", fmt::join(parts, ", ")); }

std::string layout_text(const RunPlan& plan) {
  std::vector<std::string> parts = {fmt::format("d {} x p {} x t {} = {} rank{}", plan.d, plan.p, plan.t,
                                                plan.d * plan.p * plan.t, plan.d * plan.p * plan.t == 1 ? "" : "s")};
  parts.push_back(fmt::format("{} microbatch{}", plan.microbatches, plan.microbatches == 1 ? "" : "es"));
  if (plan.p > 1) parts.push_back("schedule " + plan.schedule);
  if (plan.t > 1) parts.push_back("tensor mode " + plan.tensor_mode);
  return joined(parts);
}

/// "n1, n2, n3 and 5 more".
std::string host_names(const RunPlan& plan) {
  constexpr std::size_t kMost = 4;
  std::vector<std::string> names;
  for (const RankPlan& rank : plan.ranks) {
    if (std::find(names.begin(), names.end(), rank.host) == names.end()) names.push_back(rank.host);
  }
  const std::size_t num_hosts = names.size();
  names.resize(std::min(num_hosts, kMost));
  return joined(names) + (num_hosts > kMost ? fmt::format(" and {} more", num_hosts - kMost) : "");
}

/// What the groups of each axis talk over, where there are several hosts.
std::string hosts_text(const RunPlan& plan) {
  std::string text = host_names(plan);
  for (const AxisLinks& links : plan.links) {
    text += fmt::format("; {} ", letter_of(links.axis));
    if (links.crossing == 0) {
      text += "within a host (shared memory)";
    } else if (links.crossing == links.groups) {
      text += "between hosts (network)";
    } else {
      text += fmt::format("between hosts in {} of {} groups (network)", links.crossing, links.groups);
    }
  }
  return text;
}

bool crosses_hosts(const RunPlan& plan) {
  return std::any_of(plan.links.begin(), plan.links.end(), [](const AxisLinks& links) { return links.crossing > 0; });
}

std::string owner_table(const RunPlan& plan, Style style, int max_rows) {
  TextTable table({{"rank"},
                   {"place", Align::left},
                   {"host", Align::left},
                   {"layers", Align::left},
                   {"parameters"},
                   {"memory planned"}});
  for (const RankPlan& rank : plan.ranks) {
    if (static_cast<int>(table.num_rows()) == max_rows) break;
    table.add_row({std::to_string(rank.rank), place_text(rank.at), rank.host, rank.layers,
                   grouped_text(rank.parameters), bytes_text(rank.planned_bytes)});
  }
  std::string text = table.to_string(style);
  if (plan.ranks.size() > table.num_rows()) {
    text += fmt::format("  ... and {} more ranks: the log of the run folder lists all\n",
                        plan.ranks.size() - table.num_rows());
  }
  return text;
}

/// Four decimals while that is readable.
std::string loss_text(double loss) {
  return std::abs(loss) < 1e5 && (std::abs(loss) >= 1e-3 || loss == 0) ? fmt::format("{:.4f}", loss)
                                                                       : fmt::format("{:.4e}", loss);
}

std::string parts_text(const Breakdown& mean) {
  const std::array<double, 5> parts = {mean.compute, mean.core_wait, mean.exposed_comm, mean.bubble, mean.other};
  const std::vector<int> percents = percentages(parts);
  return fmt::format("compute {}% core wait {}% exposed comm {}% bubble {}% other {}%", percents[0], percents[1],
                     percents[2], percents[3], percents[4]);
}

/// Kinds of communication that any rank names, in the order in which they come.
std::vector<std::string> comm_kinds(const RunSummary& summary) {
  std::vector<std::string> kinds;
  for (const RankStep& rank : summary.mean_steps) {
    for (const auto& [kind, seconds] : rank.comm_seconds) {
      if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
    }
  }
  return kinds;
}

std::string milliseconds(double seconds) { return seconds == 0 ? "-" : fmt::format("{:.2f}", seconds * 1e3); }

std::string comm_cell(const RankStep& rank, const std::string& kind) {
  const auto found = std::find_if(rank.comm_seconds.begin(), rank.comm_seconds.end(),
                                  [&](const auto& pair) { return pair.first == kind; });
  return milliseconds(found == rank.comm_seconds.end() ? 0 : found->second);
}

std::vector<std::string> rank_row(const RankStep& step, const RankPlan* plan, const std::vector<std::string>& kinds) {
  std::vector<std::string> cells = {std::to_string(step.rank),     plan ? place_text(plan->at) : "",
                                    milliseconds(step.parts.step), milliseconds(step.forward),
                                    milliseconds(step.backward),   milliseconds(step.update)};
  for (const std::string& kind : kinds) cells.push_back(comm_cell(step, kind));
  for (double part : {step.parts.exposed_comm, step.parts.bubble, step.parts.core_wait, step.parts.other}) {
    cells.push_back(milliseconds(part));
  }
  cells.push_back(plan ? bytes_text(plan->planned_bytes) : "");
  cells.push_back(plan ? bytes_text(plan->used_bytes) : "");
  return cells;
}

/// Bytes of the UTF-8 sequence that begins at `from` and may be shown, 0 where there is none: a control character, or
/// bytes that are no shortest form of a code point.
std::size_t shown_sequence(const std::string& bytes, std::size_t from) {
  auto byte = [&](std::size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U; };
  const unsigned first = byte(from);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(from + i) & 0xc0) != 0x80) return 0;
  }
  const unsigned second = byte(from + 1);
  const bool control = first == 0xc2 && second < 0xa0;
  const bool too_long = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool no_character = (first == 0xed && second >= 0xa0) || (first == 0xf4 && second >= 0x90);
  return control || too_long || no_character ? 0 : length;
}

/// A model of bytes may write any: what a terminal should not get is shown as U+FFFD.
std::string sample_text(const std::string& sample, Style style) {
  std::string text = style.heading("Text that the trained model writes") + "\n  ";
  for (std::size_t i = 0; i < sample.size();) {
    if (sample[i] == '\n') {
      text += "\n  ";
      ++i;
    } else if (const std::size_t length = shown_sequence(sample, i)) {
      text += sample.substr(i, length);
      i += length;
    } else {
      text += "\xef\xbf\xbd";
      ++i;
    }
  }
  text.erase(text.find_last_not_of(" \n") + 1);
  return text + "\n\n";
}

}  // namespace

std::string first_page(const RunPlan& plan, Style style, int max_rows) {
  std::string text = fact("model",
                          fmt::format("{}: {} parameters, {} a step", plan.model, grouped_text(plan.parameters),
                                      scaled_text(plan.flops_per_step, "FLOP")),
                          style);
  text += fact(
      "data",
      fmt::format("{}: batch {}, {} step{}", plan.data, plan.batch, plan.num_steps, plan.num_steps == 1 ? "" : "s"),
      style);
  text += fact("layout", layout_text(plan), style);
  text += fact("machine",
               fmt::format("{}, {} thread{} a rank, {} usable core{}, {}", plan.backend, plan.threads_per_rank,
                           plan.threads_per_rank == 1 ? "" : "s", plan.usable_cores, plan.usable_cores == 1 ? "" : "s",
                           plan.instruction_set),
               style);
  if (crosses_hosts(plan)) text += fact("hosts", hosts_text(plan), style);
  text += "\n" + owner_table(plan, style, max_rows);
  if (!plan.notes.empty()) text += "\n";
  for (const std::string& note : plan.notes) text += fmt::format("  {} {}\n", style.strong("note:"), note);
  return text;
}

std::string step_line(const StepRecord& record) {
  std::string text = fmt::format("step {}/{} loss {}", record.step + 1, record.num_steps, loss_text(record.loss));
  if (record.accuracy) text += fmt::format(" accuracy {:.1f}%", 100 * *record.accuracy);
  if (record.validation_loss) text += fmt::format(" val {}", loss_text(*record.validation_loss));
  text += fmt::format(" norm {} lr {} | {} ", number_text(record.grad_norm), rate_text(record.learning_rate),
                      seconds_text(record.mean.step));
  text += record.tokens_per_s > 0 ? scaled_text(record.tokens_per_s) + " tok/s"
                                  : scaled_text(record.samples_per_s) + " samples/s";
  text += fmt::format(" | {} | {}", parts_text(record.mean), scaled_text(record.flops_per_s, "FLOP/s"));
  if (record.peak_fraction > 0) text += fmt::format(" {:.0f}% of peak", 100 * record.peak_fraction);
  return text;
}

std::string rank_table(const RunSummary& summary, Style style, int max_rows) {
  const std::vector<std::string> kinds = comm_kinds(summary);
  std::vector<TextTable::Column> columns = {{"rank"},    {"place", Align::left}, {"step"},
                                            {"forward"}, {"backward"},           {"update"}};
  for (const std::string& kind : kinds) columns.push_back({kind});
  for (const char* title : {"exposed comm", "bubble", "core wait", "other", "planned", "used"})
    columns.push_back({title});
  TextTable table(std::move(columns));
  for (const RankStep& step : summary.mean_steps) {
    if (static_cast<int>(table.num_rows()) == max_rows) break;
    const auto plan = std::find_if(summary.ranks.begin(), summary.ranks.end(),
                                   [&](const RankPlan& r) { return r.rank == step.rank; });
    table.add_row(rank_row(step, plan == summary.ranks.end() ? nullptr : &*plan, kinds));
  }
  std::string text = style.heading("Each rank's mean step") +
                     " (ms; communication from posted to completed, which overlaps compute)\n" + table.to_string(style);
  if (summary.mean_steps.size() > table.num_rows()) {
    text += fmt::format("  ... and {} more ranks: ranks.jsonl of the run folder has all\n",
                        summary.mean_steps.size() - table.num_rows());
  }
  return text;
}

double bus_factor(const std::string& kind, int group_size) {
  const double n = std::max(group_size, 1);
  if (kind.starts_with("all_reduce")) return 2 * (n - 1) / n;
  if (kind.starts_with("all_gather") || kind.starts_with("reduce_scatter")) return (n - 1) / n;
  return 1;
}

std::string comm_table(const RunSummary& summary, Style style) {
  TextTable table({{"kind", Align::left}, {"ranks"}, {"count"}, {"bytes"}, {"mean time"}, {"GB/s"}, {"bus GB/s"}});
  for (const CommTotals& kind : summary.comm) {
    const double rate = kind.seconds > 0 ? static_cast<double>(kind.bytes) / kind.seconds * 1e-9 : 0;
    const double mean = kind.count > 0 ? kind.seconds / static_cast<double>(kind.count) : 0;
    table.add_row({kind.kind, std::to_string(kind.group_size), grouped_text(kind.count), bytes_text(kind.bytes),
                   seconds_text(mean), number_text(rate), number_text(rate * bus_factor(kind.kind, kind.group_size))});
  }
  return style.heading("Communication of the whole run, all ranks") + "\n" + table.to_string(style);
}

std::string last_page(const RunSummary& summary, Style style) {
  std::string text = "\n" + rank_table(summary, style) + "\n";
  if (!summary.comm.empty()) text += comm_table(summary, style) + "\n";
  if (!summary.sample.empty()) text += sample_text(summary.sample, style);
  text += fmt::format("loss {} -> {} (mean of the last 10 steps) in {}\n", loss_text(summary.first_loss),
                      loss_text(summary.last_loss), seconds_text(summary.seconds));
  return text;
}

}  // namespace dml
