// Conversion of one element between data types, for hosts and devices.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/bf16.h"
#include "kernels/tensor.h"

namespace dml {

/// IEEE 754 binary16: 5 bits of exponent, 10 of mantissa. Storage only.
struct f16 {
  std::uint16_t bits;
};
/// A byte that is 0 or, for true, anything else.
struct Boolean {
  std::uint8_t byte;
};

constexpr float to_float(f16 x) {
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16;
  const std::uint32_t exponent = (x.bits >> 10) & 0x1fu;
  const std::uint32_t mantissa = x.bits & 0x3ffu;
  if (exponent == 0) {  // zero or subnormal: mantissa · 2^-24
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  const std::uint32_t widened = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | widened << 23 | mantissa << 13);
}

/// Rounds to nearest, ties to even; beyond 65504 to infinity.
constexpr f16 to_f16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<std::uint16_t>(sign | 0x7e00u)};   // NaN
  if (magnitude >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};  // rounds past 65504
  if (magnitude < 0x38800000u) {  // below 2^-14: subnormal, steps of 2^-24; at 0.5 the steps of a float are those
    const auto steps = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
    return {static_cast<std::uint16_t>(sign | steps)};
  }
  const std::uint32_t moved = magnitude - (112u << 23);
  return {static_cast<std::uint16_t>(sign | ((moved + 0xfffu + ((moved >> 13) & 1u)) >> 13))};
}

namespace conversion {

template <typename From>
constexpr auto number_of(From x) {
  if constexpr (std::is_same_v<From, f16> || std::is_same_v<From, bf16>) {
    return to_float(x);
  } else if constexpr (std::is_same_v<From, Boolean>) {
    return static_cast<std::int32_t>(x.byte != 0);
  } else {
    return x;
  }
}

template <typename To, typename Number>
constexpr To clamped(Number x) {
  using Limits = std::numeric_limits<To>;
  if (x != x) return 0;
  // The greatest integer may round up as a float, so equality clamps as well.
  if (x >= static_cast<Number>(Limits::max())) return Limits::max();
  if (x <= static_cast<Number>(Limits::min())) return Limits::min();
  return static_cast<To>(x);
}

}  // namespace conversion

/// Narrowing floats rounds to nearest, ties to even; floats become integers by truncation, clamped to the range, NaN
/// to 0; any value but 0 becomes true.
template <typename To, typename From>
constexpr To convert(From x) {
  const auto number = conversion::number_of(x);
  if constexpr (std::is_same_v<To, f16>) {
    return to_f16(static_cast<float>(number));
  } else if constexpr (std::is_same_v<To, bf16>) {
    return to_bf16(static_cast<float>(number));
  } else if constexpr (std::is_same_v<To, Boolean>) {
    return {static_cast<std::uint8_t>(number != 0)};
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<decltype(number)>) {
    return conversion::clamped<To>(number);
  } else {
    return static_cast<To>(number);
  }
}

/// body(T{}) with the storage type of `type`.
template <typename Body>
void by_type(DataType type, const Body& body) {
  switch (type) {
    case DataType::f32: return body(float{});
    case DataType::f64: return body(double{});
    case DataType::f16: return body(f16{});
    case DataType::bf16: return body(bf16{});
    case DataType::i64: return body(std::int64_t{});
    case DataType::i32: return body(std::int32_t{});
    case DataType::u8: return body(std::uint8_t{});
    case DataType::boolean: return body(Boolean{});
  }
}

}  // namespace dml
