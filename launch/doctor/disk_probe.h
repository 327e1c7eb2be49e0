// The disk of run folders: room and speed.
#pragma once

#include <string>

#include "launch/doctor/facts.h"

namespace dml {

/// Of the folder that a run in `folder` would be made in: itself, or the closest one above that exists. Writes up to 64
/// MiB there for at most some seconds, to the disk, and removes them.
DiskFacts probe_disk(const std::string& folder);

}  // namespace dml
