#include "kernels/cast.h"

#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/cpu/parallel.h"
#include "kernels/error.h"

namespace dml::cpu {
namespace {

// Storage types that are not arithmetic types of C++.
struct Half {
  std::uint16_t bits;
};
struct Bfloat {
  std::uint16_t bits;
};
struct Boolean {
  std::uint8_t byte;
};

float widen(Half x) {
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

float widen(Bfloat x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16); }

/// Drops `dropped` low bits, rounding to nearest, ties to even.
std::uint32_t round_shift(std::uint32_t bits, std::uint32_t dropped) {
  const std::uint32_t half = (1u << (dropped - 1)) - 1u + ((bits >> dropped) & 1u);
  return (bits + half) >> dropped;
}

Half to_half(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<std::uint16_t>(sign | 0x7e00u)};   // NaN
  if (magnitude >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};  // rounds past 65504
  if (magnitude < 0x38800000u) {                                                      // below 2^-14: subnormal
    const float steps = std::nearbyint(std::bit_cast<float>(magnitude) * 0x1p24f);
    return {static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(steps))};
  }
  return {static_cast<std::uint16_t>(sign | round_shift(magnitude - (112u << 23), 13))};
}

Bfloat to_bfloat(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (std::isnan(x)) return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>(round_shift(bits, 16))};
}

template <typename From>
auto number_of(From x) {
  if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, Bfloat>) {
    return widen(x);
  } else if constexpr (std::is_same_v<From, Boolean>) {
    return static_cast<std::int32_t>(x.byte != 0);
  } else {
    return x;
  }
}

template <typename To, typename Number>
To clamped(Number x) {
  using Limits = std::numeric_limits<To>;
  if (std::isnan(x)) return 0;
  // The greatest integer may round up as a float, so equality clamps as well.
  if (x >= static_cast<Number>(Limits::max())) return Limits::max();
  if (x <= static_cast<Number>(Limits::min())) return Limits::min();
  return static_cast<To>(x);
}

template <typename To, typename From>
To convert(From x) {
  const auto number = number_of(x);
  if constexpr (std::is_same_v<To, Half>) {
    return to_half(static_cast<float>(number));
  } else if constexpr (std::is_same_v<To, Bfloat>) {
    return to_bfloat(static_cast<float>(number));
  } else if constexpr (std::is_same_v<To, Boolean>) {
    return {static_cast<std::uint8_t>(number != 0)};
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<decltype(number)>) {
    return clamped<To>(number);
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
    case DataType::f16: return body(Half{});
    case DataType::bf16: return body(Bfloat{});
    case DataType::i64: return body(std::int64_t{});
    case DataType::i32: return body(std::int32_t{});
    case DataType::u8: return body(std::uint8_t{});
    case DataType::boolean: return body(Boolean{});
  }
}

}  // namespace

void cast(const TensorView& y, const TensorView& x) {
  DML_ASSERT(y.num_elements() == x.num_elements(), y.shape.to_string() + " from " + x.shape.to_string());
  by_type(y.dtype, [&]<typename To>(To) {
    by_type(x.dtype, [&]<typename From>(From) {
      To* out = y.as<To>();
      const From* in = x.as<const From>();
      parallel_chunks(y.num_elements(), 1, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) out[i] = convert<To>(in[i]);
      });
    });
  });
}

}  // namespace dml::cpu
