// What Open MPI and NCCL are told about the network between nodes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dml {

/// `automatic`: the libraries find out themselves, and are told nothing.
enum class Fabric : std::uint8_t { automatic, infiniband, roce, efa, slingshot, ethernet };
/// In the order of the values: "auto", "infiniband", ...
std::span<const std::string_view> fabric_names();

struct EnvironmentSetting {
  std::string name;
  std::string value;
  std::string reason;  ///< one line
};

/// `interface` is the network interface that sockets use ("ib0"; empty: their choice). NCCL's settings only where there
/// are GPUs. After NCCL's and Open MPI's lists of environment variables, and the notes of AWS on EFA and of HPE on
/// Slingshot.
std::vector<EnvironmentSetting> fabric_settings(Fabric fabric, const std::string& interface, bool has_gpus);

}  // namespace dml
