// TF32, what tensor cores read of a float: 8 bits of exponent, 10 of mantissa.
#pragma once

#include <bit>
#include <cstdint>

namespace dml::emulator {

/// Rounds to nearest, ties away from zero, as the conversion of PTX does (cvt.rna.tf32).
constexpr float to_tf32(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return x;  // infinite or NaN
  return std::bit_cast<float>((bits + 0x1000u) & ~0x1fffu);
}

}  // namespace dml::emulator
