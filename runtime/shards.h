// A model cut to the ranks of a layout, as files: what each rank computes, owns and says to the others.
#pragma once

#include <string>

#include "runtime/config.h"

namespace dml {

/// Writes rank_{r}.onnx for every rank of config.layout into `folder`: the rank's operations and slices of the weights,
/// its sends, receives and collectives as nodes of the domain "dmltrain". Throws ModelError, IoError.
void write_shards(const Config& config, const std::string& folder);

}  // namespace dml
