// What trains, decided by the graph alone and not by names.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/graph.h"

namespace dml {

/// Whether `name` matches: * stands for any characters, ? for one.
bool matches_glob(std::string_view glob, std::string_view name);

/// Makes Role::constant of every parameter that does not train. A parameter trains if a gradient reaches it from the
/// loss (from the output where there is no loss yet), it is no additive mask (an entry of -1e4 or less that reaches a
/// Softmax), and it has more than one element or is an operand, bias or scale of a matrix product, convolution or
/// normalization. `train` adds what matches to those that a gradient reaches; `freeze` excludes, and goes before
/// `train`.
///
/// Call it on the graph as imported, before `fuse`, which may fold what does not train. Returns one line for each
/// parameter that is left out, and for each that has one element. Throws ModelError for a glob that matches nothing,
/// and where nothing trains.
std::vector<std::string> choose_trainable(Graph& graph, std::span<const std::string> train,
                                          std::span<const std::string> freeze);

/// Throws ModelError with `option` and the glob for one that no Role::parameter of the graph matches.
void check_globs(const Graph& graph, std::span<const std::string> globs, const std::string& option);

}  // namespace dml
