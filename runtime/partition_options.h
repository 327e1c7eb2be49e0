// From the options of a run to those of its partition.
#pragma once

#include "parallel/partition.h"
#include "runtime/config.h"

namespace dml {

/// `batch`: samples of the global batch.
PartitionOptions partition_options(const Config& config, std::int64_t batch);

}  // namespace dml
