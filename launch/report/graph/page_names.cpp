#include "launch/report/graph/page_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "launch/report/graph/svg_pages.h"

namespace dml {

std::string replica_file() { return fmt::format("data_{}_detail.svg", kReplicaMark); }
std::string stage_file(int stage) { return fmt::format("stage_{}_data_{}_detail.svg", stage, kReplicaMark); }
std::string layer_file(int layer) { return fmt::format("layer_{}_data_{}_detail.svg", layer, kReplicaMark); }
std::string transfer_file(int from_stage, int to_stage) {
  return fmt::format("send_recv_stage_{}_to_{}_data_{}_detail.svg", from_stage, to_stage, kReplicaMark);
}

std::vector<Crumb> replica_crumbs() {
  return {{"model", kTopPage}, {fmt::format("replica {}", kReplicaMark), replica_file()}};
}

std::string shapes_text(const DrawnOutput& output) {
  std::string text = std::string(name_of(output.dtype));
  if (output.shapes.size() == 1) return text + " " + output.shapes.front().to_string();
  for (std::size_t t = 0, end = 0; t < output.shapes.size(); t = end) {
    while (end < output.shapes.size() && output.shapes[end] == output.shapes[t]) ++end;
    text += fmt::format("{} {} (t{})", t == 0 ? "" : ",", output.shapes[t].to_string(),
                        end - t == 1 ? std::to_string(t) : fmt::format("{}-{}", t, end - 1));
  }
  return text;
}

std::string tensor_text(const Drawing& drawing) {
  return drawing.mesh.t() == 1 ? "t0" : fmt::format("t0-{}", drawing.mesh.t() - 1);
}

std::string ranks_text(const std::vector<int>& ranks) {
  if (ranks.size() == 1) return fmt::format("rank {}", ranks.front());
  const bool run = ranks.back() - ranks.front() + 1 == static_cast<int>(ranks.size());
  return run ? fmt::format("ranks {}-{}", ranks.front(), ranks.back())
             : fmt::format("ranks {}", fmt::join(ranks, ", "));
}

std::string counted(std::size_t number, std::string_view word) {
  const char* ending = number == 1 ? "" : word.ends_with("ch") ? "es" : "s";
  return fmt::format("{} {}{}", number, word, ending);
}

std::string fill_of(const DrawnTask& task) {
  if (is_collective(task.kind)) return "#f7d6a8";
  switch (task.id.phase) {
    case Phase::forward:
    case Phase::recompute: return "#cfe3fb";
    case Phase::input_grad: return "#f6d3dc";
    case Phase::weight_grad: return "#dcd3f3";
    case Phase::update: return "#d3ead2";
  }
  return "#ffffff";
}

}  // namespace dml
