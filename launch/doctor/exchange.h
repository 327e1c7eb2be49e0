// Facts from rank to rank, as text.
#pragma once

#include <string>
#include <vector>

#include "runtime/comm/communicator.h"

namespace dml {

/// Collective. The texts of all ranks, on all ranks.
std::vector<std::string> gather_texts(Communicator& world, const std::string& mine);

}  // namespace dml
