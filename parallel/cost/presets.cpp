// Accelerators by their makers' data sheets: dense peaks, decimal units. What the sheets do not say is assumed, the
// same for all: large products reach 3/4 of the peak and large copies 4/5 of the bandwidth, a launch takes 4 us, a
// message 4 us inside a node and 10 us across (NCCL's tests report 10 to 30 us for the smallest all-reduce of 8
// devices). Collectives reach 4/5 of the links' rates.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "parallel/cost/hardware.h"

namespace dml {
namespace {

constexpr double kTera = 1e12;
constexpr double kGiga = 1e9;
constexpr int kDevicesPerNode = 8;
constexpr double kProductEfficiency = 0.75;
constexpr double kMemoryEfficiency = 0.8;
constexpr double kLinkEfficiency = 0.8;
constexpr double kLaunchSeconds = 4e-6;
constexpr double kNodeLatency = 4e-6;
constexpr double kNetworkLatency = 10e-6;

struct Sheet {
  std::string_view name;
  double f32_tflops;  ///< TF32 by tensor cores, dense
  double f16_tflops;  ///< FP16 and BF16 by tensor cores, dense
  double memory_gb_per_s;
  double memory_gb;
  double nvlink_gb_per_s;   ///< one direction
  double network_gb_per_s;  ///< of one device, one direction
};

constexpr std::array kSheets = {
    // "NVIDIA A100 Tensor Core GPU", data sheet of June 2021, SXM 80GB: TF32 156, BF16 312 TFLOPS, 2,039 GB/s, NVLink
    // 600 GB/s (both directions). DGX A100: eight 200 Gb/s adapters for eight devices.
    Sheet{"a100-80g", 156, 312, 2039, 80, 300, 25},
    // "NVIDIA H100 Tensor Core GPU Architecture", white paper, H100 SXM5: TF32 494.7, BF16 989.4 TFLOPS dense; data
    // sheet of 2023: 3.35 TB/s, 80 GB, NVLink 900 GB/s. DGX H100: eight 400 Gb/s adapters for eight devices.
    Sheet{"h100-sxm", 494.7, 989.4, 3350, 80, 450, 50},
    // "NVIDIA H200 Tensor Core GPU", data sheet of 2024, SXM: as the H100, but 141 GB at 4.8 TB/s.
    Sheet{"h200", 494.7, 989.4, 4800, 141, 450, 50},
    // "NVIDIA Blackwell Architecture Technical Brief", 2024, HGX B200: TF32 2.2, BF16 4.5 PFLOPS with sparsity (half of
    // it dense), 8 TB/s, NVLink 1.8 TB/s. "NVIDIA DGX B200", data sheet: 1,440 GB for eight, eight 400 Gb/s adapters.
    Sheet{"b200", 1100, 2250, 8000, 180, 900, 50},
};

constexpr auto kNames = [] {
  std::array<std::string_view, kSheets.size()> names;
  std::transform(kSheets.begin(), kSheets.end(), names.begin(), [](const Sheet& sheet) { return sheet.name; });
  return names;
}();

Hardware hardware_of(const Sheet& sheet) {
  Hardware hardware;
  hardware.name = sheet.name;
  hardware.launch_seconds = kLaunchSeconds;
  hardware.peaks = {.f32_flops = sheet.f32_tflops * kTera,
                    .f16_flops = sheet.f16_tflops * kTera,
                    .efficiency = kProductEfficiency,
                    .memory_bytes_per_s = sheet.memory_gb_per_s * kGiga,
                    .memory_efficiency = kMemoryEfficiency};
  hardware.memory_bytes = sheet.memory_gb * kGiga;
  hardware.ranks_per_host = kDevicesPerNode;
  hardware.levels = {
      {.ranks = kDevicesPerNode, .link = {kNodeLatency, sheet.nvlink_gb_per_s * kGiga * kLinkEfficiency}},
      {.ranks = kAllRanks, .link = {kNetworkLatency, sheet.network_gb_per_s * kGiga * kLinkEfficiency}},
  };
  return hardware;
}

}  // namespace

Hardware hardware_preset(std::string_view name) {
  const auto sheet = std::find_if(kSheets.begin(), kSheets.end(), [&](const Sheet& s) { return s.name == name; });
  if (sheet == kSheets.end())
    throw std::invalid_argument(fmt::format("there is no hardware '{}'; there are: {}", name, fmt::join(kNames, ", ")));
  return hardware_of(*sheet);
}

std::span<const std::string_view> hardware_preset_names() { return kNames; }

}  // namespace dml
