// A model cut to the ranks of a layout, as files: what each rank computes, owns and says to the others. The format is
// that of models/onnx/graph_file.h, with a second table (runtime/model/shard_table.h).
#pragma once

#include <memory>
#include <string>

#include "runtime/config.h"

namespace dml {

class RunModel;

/// Writes rank_{r}.onnx for every rank of config.layout into `folder`: the rank's operations and slices of the weights,
/// its sends, receives and collectives as nodes of the domain "dmltrain". The files serve any batch, schedule, data and
/// optimizer. Without config.data the labels are taken to be classes (one for each row of the output), or by
/// config.model.loss. Throws ModelError, IoError.
void write_shards(const Config& config, const std::string& folder);

/// The rank's model from its own file in config.model.shards alone. Throws IoError, and ModelError where the file is
/// damaged or foreign, is of another layout or rank, or config asks for what is decided when the files are written.
std::unique_ptr<RunModel> open_shard(const Config& config, int rank);

/// `asked` with d, p, t and the order as the file of `rank` says where they are left out (d = 0, p = t = 1).
/// Throws as open_shard where it is of another layout.
LayoutConfig layout_of_shards(LayoutConfig asked, const std::string& folder, int rank);

}  // namespace dml
