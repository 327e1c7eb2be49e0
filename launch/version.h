// What this program is, in one line.
#pragma once

#include <string>

namespace dml {

/// "dmltrain 0.1.0 (ranks: threads or MPI processes)".
std::string version_text();

}  // namespace dml
