// How nlohmann::json reads and writes facts; for the sources that do.
#pragma once

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "launch/doctor/facts.h"

namespace dml {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NetworkInterface, name, megabits_per_s)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Gpu, name, memory_mib, driver)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DiskFacts, folder, free_bytes, write_bytes_per_s, failure)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RankFacts, rank, host, ranks_on_host, cores, threads, notes, environment,
                                   clock_ahead_s)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(LinkFacts, from, to, latency_s, bytes_per_s)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrainingFacts, first_rank, layout, losses, failure)

/// A difference that is none of numbers is null.
inline void to_json(nlohmann::json& json, const OperationDifference& of) {
  const nlohmann::json worst = std::isfinite(of.worst) ? nlohmann::json(of.worst) : nlohmann::json(nullptr);
  json = {{"operation", of.operation}, {"nodes", of.nodes}, {"worst", worst}, {"where", of.where}};
}

inline void from_json(const nlohmann::json& json, OperationDifference& of) {
  const nlohmann::json& worst = json.at("worst");
  of = {json.at("operation"), json.at("nodes"),
        worst.is_null() ? std::numeric_limits<double>::infinity() : worst.get<double>(), json.at("where")};
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TransferCheck, operation, elements, wrong)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DeviceFacts, rank, name, operations, transfers, failure, transfer_failure)

/// A limit that there is not is null.
inline void to_json(nlohmann::json& json, const ProcessLimits& limits) {
  const auto value = [](const std::optional<std::int64_t>& limit) {
    return limit ? nlohmann::json(*limit) : nlohmann::json(nullptr);
  };
  json = {{"open_files", value(limits.open_files)},
          {"locked_bytes", value(limits.locked_bytes)},
          {"stack_bytes", value(limits.stack_bytes)},
          {"processes", value(limits.processes)}};
}

inline void from_json(const nlohmann::json& json, ProcessLimits& limits) {
  const auto value = [&](const char* key) {
    const nlohmann::json& limit = json.at(key);
    return limit.is_null() ? std::nullopt : std::optional(limit.get<std::int64_t>());
  };
  limits = {value("open_files"), value("locked_bytes"), value("stack_bytes"), value("processes")};
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(HostFacts, name, processor, online_cores, granted_cores, quota_cores, numa_nodes,
                                   governor, instruction_set, detected_instruction_set, memory_bytes, available_bytes,
                                   group_bytes, shared_bytes, container, kernel, networks, fabrics, transports, gpus,
                                   gpu_devices, has_cuda_driver, versions, limits, disk)

inline void to_json(nlohmann::json& json, const CollectiveFacts& of) {
  json = {{"kind", name_of(of.kind)}, {"ranks", of.ranks},   {"bytes", of.bytes},
          {"seconds", of.seconds},    {"spread", of.spread}, {"expected_s", of.expected_s}};
}

}  // namespace dml
