#include "launch/doctor/doctor_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "launch/doctor/facts_serializer.h"
#include "launch/terminal/number_text.h"
#include "launch/terminal/text_table.h"

namespace dml {
namespace {

using Align = TextTable::Align;

constexpr std::size_t kMostMatrixRanks = 16;

std::string limit_words(const std::optional<std::int64_t>& limit, std::string (*words)(std::int64_t)) {
  return limit ? words(*limit) : "unlimited";
}

std::string networks_words(const HostFacts& host) {
  std::vector<std::string> parts = host.fabrics;
  for (const NetworkInterface& one : host.networks) {
    parts.push_back(one.megabits_per_s > 0 ? fmt::format("{} {} Mbit/s", one.name, one.megabits_per_s) : one.name);
  }
  return parts.empty() ? "none but the loopback" : fmt::format("{}", fmt::join(parts, ", "));
}

/// What there is, a row for each kind of thing, a column for each host.
std::string hosts_table(const DoctorFacts& facts, Style style) {
  std::vector<TextTable::Column> columns{{"", Align::left}};
  for (const HostFacts& host : facts.hosts) columns.push_back({host.name, Align::left});
  TextTable table(std::move(columns));
  const auto row = [&](const char* what, const std::function<std::string(const HostFacts&)>& of) {
    std::vector<std::string> cells{what};
    for (const HostFacts& host : facts.hosts) cells.push_back(of(host));
    table.add_row(std::move(cells));
  };
  row("processor", [](const HostFacts& h) { return h.processor; });
  row("cores", [](const HostFacts& h) {
    return fmt::format("{} granted of {}, {} NUMA node{}", h.granted_cores, h.online_cores, h.numa_nodes,
                       h.numa_nodes == 1 ? "" : "s");
  });
  row("memory", [](const HostFacts& h) {
    return fmt::format("{}, limit of the control group {}, /dev/shm {}", bytes_text(h.memory_bytes),
                       h.group_bytes > 0 ? bytes_text(h.group_bytes) : "none", bytes_text(h.shared_bytes));
  });
  row("limits", [](const HostFacts& h) {
    const auto plain = [](std::int64_t number) { return std::to_string(number); };
    return fmt::format("files {}, locked memory {}, stack {}, processes {}", limit_words(h.limits.open_files, plain),
                       limit_words(h.limits.locked_bytes, bytes_text), limit_words(h.limits.stack_bytes, bytes_text),
                       limit_words(h.limits.processes, plain));
  });
  row("network", networks_words);
  row("transports", [](const HostFacts& h) {
    return h.transports.empty() ? "as MPI chooses" : fmt::format("{}", fmt::join(h.transports, ", "));
  });
  row("system", [](const HostFacts& h) {
    return fmt::format("Linux {}, {}", h.kernel, h.container.empty() ? "no container" : "in " + h.container);
  });
  return table.to_string(style);
}

/// Latency above the diagonal, bandwidth below it.
std::string link_matrix(const DoctorFacts& facts, Style style) {
  std::vector<int> ranks;
  for (const LinkFacts& link : facts.links) {
    for (const int rank : {link.from, link.to})
      if (std::find(ranks.begin(), ranks.end(), rank) == ranks.end()) ranks.push_back(rank);
  }
  std::sort(ranks.begin(), ranks.end());
  if (ranks.empty() || ranks.size() > kMostMatrixRanks) return "";
  std::vector<TextTable::Column> columns{{"rank"}};
  for (const int rank : ranks) columns.push_back({std::to_string(rank)});
  TextTable table(std::move(columns));
  for (const int row : ranks) {
    std::vector<std::string> cells{std::to_string(row)};
    for (const int column : ranks) {
      const auto link = std::find_if(facts.links.begin(), facts.links.end(), [&](const LinkFacts& one) {
        return std::min(row, column) == one.from && std::max(row, column) == one.to;
      });
      if (link == facts.links.end()) {
        cells.emplace_back("");
      } else {
        cells.push_back(row < column ? seconds_text(link->latency_s) : scaled_text(link->bytes_per_s, "B/s"));
      }
    }
    table.add_row(std::move(cells));
  }
  return style.heading("Links: latency (above), bandwidth (below)") + "\n" + table.to_string(style) + "\n";
}

std::string collectives_table(const DoctorFacts& facts, Style style) {
  if (facts.collectives.empty()) return "";
  TextTable table({{"collective", Align::left}, {"ranks"}, {"bytes"}, {"measured"}, {"spread"}, {"expected"}});
  for (const CollectiveFacts& of : facts.collectives) {
    table.add_row({std::string(name_of(of.kind)), std::to_string(of.ranks),
                   bytes_text(static_cast<std::int64_t>(of.bytes)), seconds_text(of.seconds),
                   fmt::format("{:.0f} %", 100 * of.spread), of.expected_s > 0 ? seconds_text(of.expected_s) : "-"});
  }
  return style.heading("Collectives") + "\n" + table.to_string(style) + "\n";
}

std::string severity_words(Severity severity, Style style) {
  std::string text = fmt::format("{:<8}", name_of(severity));
  switch (severity) {
    case Severity::ok: return style.option(text);
    case Severity::note: return style.faint(text);
    case Severity::warning: return style.strong(text);
    case Severity::error: return style.error(text);
  }
  return text;
}

std::string finding_lines(const Diagnosis& finding, Style style) {
  constexpr const char* kUnderText = "\n                        ";
  std::string lines = fmt::format("  {}{:<13} {}{}", severity_words(finding.severity, style), finding.area,
                                  finding.where.empty() ? "" : finding.where + ": ", finding.text);
  if (!finding.advice.empty()) lines += kUnderText + finding.advice;
  return lines + "\n";
}

std::string counted(int number, const char* what) {
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

}  // namespace

std::string doctor_text(const DoctorFacts& facts, const Diagnoses& findings, Style style) {
  std::string text =
      fmt::format("{}\n{}\n",
                  style.heading(fmt::format("{}, {} ({})", counted(static_cast<int>(facts.hosts.size()), "host"),
                                            counted(static_cast<int>(facts.ranks.size()), "rank"), facts.backend)),
                  hosts_table(facts, style));
  text += link_matrix(facts, style) + collectives_table(facts, style) + style.heading("Findings") + "\n";
  for (const Severity severity : {Severity::ok, Severity::note, Severity::warning, Severity::error}) {
    for (const Diagnosis& finding : findings)
      if (finding.severity == severity) text += finding_lines(finding, style);
  }
  return text + fmt::format("{}, {}, {}\n", counted(count(findings, Severity::error), "error"),
                            counted(count(findings, Severity::warning), "warning"),
                            counted(count(findings, Severity::note), "note"));
}

std::string doctor_json(const DoctorFacts& facts, const Diagnoses& findings) {
  nlohmann::json json;
  json["backend"] = facts.backend;
  json["hosts"] = facts.hosts;
  json["ranks"] = facts.ranks;
  json["links"] = facts.links;
  json["collectives"] = facts.collectives;
  json["calibration"] = facts.calibration;
  json["devices"] = facts.devices;
  json["trainings"] = facts.trainings;
  json["findings"] = nlohmann::json::array();
  for (const Diagnosis& finding : findings) {
    json["findings"].push_back({{"severity", name_of(finding.severity)},
                                {"area", finding.area},
                                {"where", finding.where},
                                {"text", finding.text},
                                {"advice", finding.advice}});
  }
  json["errors"] = count(findings, Severity::error);
  json["warnings"] = count(findings, Severity::warning);
  json["notes"] = count(findings, Severity::note);
  return json.dump(1) + "\n";
}

}  // namespace dml
