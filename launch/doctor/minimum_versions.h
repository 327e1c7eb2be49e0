// The oldest versions of libraries that dmltrain is built and tested with.
#pragma once

#include <array>
#include <string_view>

namespace dml {

struct MinimumVersion {
  std::string_view name;  ///< a key of HostFacts::versions
  std::string_view least;
};

inline constexpr std::array<MinimumVersion, 4> kMinimumVersions = {{
    {"oneDNN", "2.6"},
    {"Open MPI", "4.1"},
    {"protobuf", "3.21"},
    {"g++", "12"},
}};

/// Of NVIDIA, for programs that are built with CUDA 13 (CUDA's release notes).
inline constexpr std::string_view kLeastDriver = "580";

/// Whether `version` ("4.1.4") is at least `least`, number by number.
bool at_least(std::string_view version, std::string_view least);

}  // namespace dml
