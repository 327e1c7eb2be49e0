// Reverse-mode differentiation: the backward pass becomes explicit nodes behind the forward ones.
#pragma once

#include "models/graph.h"

namespace dml {

/// Appends the gradients of graph.loss with respect to every Role::parameter that it depends on, and nothing that none
/// of these needs. Fills graph.gradient_of: each gradient has its parameter's shape, and no two parameters share a
/// value.
///
/// A gradient that leads to parameters alone has Phase::weight_grad, the others Phase::input_grad. Contributions to one
/// value are summed by Add nodes, those of later consumers first: ((last + before) + ...).
/// Throws ModelError where a gradient would have to pass something that has none.
void append_backward(Graph& graph);

}  // namespace dml
