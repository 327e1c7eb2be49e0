// The loss that is appended to a forward graph.
#pragma once

#include <string>

#include "models/graph.h"

namespace dml {

/// Appends a loss on graph.output and sets graph.loss and graph.label (value "label", Role::label).
///
/// `kind` is cross_entropy (integer labels; classes in the last dim of the output, or in dim 1 as images have them),
/// mse (float targets of the output's shape), or auto: none but the weighting if the output is a float scalar, which is
/// a loss already; cross entropy for integer labels; mse otherwise. Cross entropy takes labels as i64, mse as f32,
/// whatever integer or float type the data has. Throws ModelError where labels and output do not fit.
void append_loss(Graph& graph, const std::string& kind, DataType label_dtype, Shape label_shape);

}  // namespace dml
