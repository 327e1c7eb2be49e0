// bfloat16, the upper half of a float: 8 bits of exponent, 7 of mantissa. Storage only; arithmetic is in float.
#pragma once

#include <bit>
#include <cstdint>

namespace dml {

struct bf16 {
  std::uint16_t bits;
};

constexpr float to_float(float x) { return x; }
constexpr float to_float(bf16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16); }

/// Rounds to nearest, ties to even; a NaN stays one.
constexpr bf16 to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

/// A float in a storage type of kernels.
template <typename T>
constexpr T from_float(float x) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return x;
  } else {
    return to_bf16(x);
  }
}

}  // namespace dml
