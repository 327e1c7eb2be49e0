// The instruction sets that CPU kernels are compiled for, and the one that runs: found by cpuid once, lowered by a cap.
#pragma once

#include <string_view>

namespace dml {

/// In order: each contains the ones before it.
enum class Isa { portable, avx2, avx512 };

/// "portable", "avx2", "avx512".
std::string_view name_of(Isa isa);
/// The Isa of that name; throws std::invalid_argument for any other text.
Isa parse_isa(std::string_view name);

/// What this processor and operating system can execute.
Isa detected_isa();
/// What kernels use: the detected one, capped by the environment variable DML_ISA and by cap_isa.
Isa active_isa();
/// Caps our kernels and oneDNN's. To be called before the first kernel: oneDNN keeps what its first primitive found.
void cap_isa(Isa cap);

}  // namespace dml
