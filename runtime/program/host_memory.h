// Whether the ranks of a host fit into its memory, before they use it: without this the system ends one of them, and
// the others wait for it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "runtime/comm/communicator.h"

namespace dml {

/// Bytes that processes of this host can still have: by the kernel's estimate, and by the limit of the control group
/// where that is lower. Nothing where neither is known.
std::optional<std::int64_t> available_memory();

/// One line where `wanted` of the ranks of this host, whose sum is compared, exceed what is available; else empty.
std::string memory_shortage(std::span<const std::int64_t> wanted, std::int64_t available);

/// Collective: every rank says how many bytes it is about to use. Throws DeviceError on the ranks of a host that has
/// fewer than its ranks want.
void check_host_memory(Communicator& world, std::int64_t bytes);

}  // namespace dml
