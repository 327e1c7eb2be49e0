#include "launch/trace/kernel_kind.h"

#include <array>
#include <utility>

namespace dml {
namespace {

/// A name that holds another stands before it.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kKinds{{{"AllReduce", "all_reduce"},
                                                                               {"AllGather", "all_gather"},
                                                                               {"ReduceScatter", "reduce_scatter"},
                                                                               {"AllToAll", "all_to_all"},
                                                                               {"SendRecv", "send/receive"},
                                                                               {"Broadcast", "broadcast"},
                                                                               {"Reduce", "reduce"}}};

}  // namespace

std::string kernel_kind(std::string_view name) {
  if (name.find("nccl") == std::string_view::npos) return "compute";
  for (const auto& [word, kind] : kKinds) {
    if (name.find(word) != std::string_view::npos) return std::string(kind);
  }
  return "other nccl";
}

}  // namespace dml
