#include "parallel/task_graph.h"

#include <fmt/format.h>

namespace dml {

std::string_view name_of(TaskKind kind) {
  switch (kind) {
    case TaskKind::load: return "load";
    case TaskKind::compute: return "compute";
    case TaskKind::send: return "send";
    case TaskKind::receive: return "receive";
    case TaskKind::all_reduce: return "all_reduce";
    case TaskKind::all_gather: return "all_gather";
    case TaskKind::reduce_scatter: return "reduce_scatter";
    case TaskKind::update: return "update";
  }
  return "?";
}

bool is_collective(TaskKind kind) {
  return kind == TaskKind::all_reduce || kind == TaskKind::all_gather || kind == TaskKind::reduce_scatter;
}

std::string TaskId::to_string() const {
  return fmt::format("{}.m{}.s{}.d{}.t{}.n{}", letter_of(phase), microbatch, stage, replica, tensor, operation);
}

}  // namespace dml
