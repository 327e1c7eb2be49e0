// exp, log, tanh, erf in float, free of branches so that loops over them become vector code. Within 2 units in the last
// place of the true value over the whole range (tests/kernels/vector_math_test.cpp); NaN and infinities as in libm.
#pragma once

#include <cstdint>

#include "kernels/cpu/variant.h"

namespace dml::cpu::DML_VARIANT {

/// a·b + c, rounded once where the instruction set can.
DML_INLINE float mul_add(float a, float b, float c) {
#ifdef __FMA__
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

DML_INLINE std::uint32_t bits_of(float x) { return __builtin_bit_cast(std::uint32_t, x); }
DML_INLINE float float_of(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
DML_INLINE float abs(float x) { return float_of(bits_of(x) & 0x7fffffffu); }
/// |magnitude| with the sign of `sign`; the magnitude must not be negative.
DML_INLINE float with_sign(float magnitude, float sign) {
  return float_of(bits_of(magnitude) | (bits_of(sign) & 0x80000000u));
}

inline constexpr float kLn2High = 0.693359375f;  // few bits: its product with a small integer is exact
inline constexpr float kLn2Low = -2.12194440e-4f;

/// x = n·ln 2 + r; a polynomial of r (Cephes expf) times 2^n, applied in two factors so that n may pass the exponent
/// range.
DML_INLINE float exp(float x) {
  constexpr float kLog2e = 1.44269504088896341f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  float c = x > 89.0f ? 89.0f : x;
  c = c < -104.0f ? -104.0f : c;
  const float shifted = mul_add(c, kLog2e, kRound);
  const float n = shifted - kRound;
  const float r = mul_add(n, -kLn2Low, mul_add(n, -kLn2High, c));
  float p = mul_add(1.9875691500e-4f, r, 1.3981999507e-3f);
  p = mul_add(p, r, 8.3334519073e-3f);
  p = mul_add(p, r, 4.1665795894e-2f);
  p = mul_add(p, r, 1.6666665459e-1f);
  p = mul_add(p, r, 5.0000001201e-1f);
  p = mul_add(p, r * r, r) + 1.0f;
  const std::int32_t exponent = static_cast<std::int32_t>(bits_of(shifted) - bits_of(kRound));
  const std::int32_t half = exponent >> 1;
  const std::uint32_t rest = static_cast<std::uint32_t>(exponent) - static_cast<std::uint32_t>(half);
  return p * float_of((static_cast<std::uint32_t>(half) + 127u) << 23) * float_of((rest + 127u) << 23);
}

/// x = 2^e · m with m in [sqrt(1/2), sqrt(2)); a polynomial of m - 1 (Cephes logf).
DML_INLINE float log(float x) {
  const bool tiny = x < 1.17549435e-38f;
  const std::uint32_t bits = bits_of(tiny ? x * 8388608.0f : x);
  const std::int32_t exponent = static_cast<std::int32_t>(bits - 0x3f3504f3u) >> 23;
  const float e = static_cast<float>(exponent) - (tiny ? 23.0f : 0.0f);
  const float f = float_of(bits - (static_cast<std::uint32_t>(exponent) << 23)) - 1.0f;
  const float f2 = f * f;
  float p = mul_add(7.0376836292e-2f, f, -1.1514610310e-1f);
  p = mul_add(p, f, 1.1676998740e-1f);
  p = mul_add(p, f, -1.2420140846e-1f);
  p = mul_add(p, f, 1.4249322787e-1f);
  p = mul_add(p, f, -1.6668057665e-1f);
  p = mul_add(p, f, 2.0000714765e-1f);
  p = mul_add(p, f, -2.4999993993e-1f);
  p = mul_add(p, f, 3.3333331174e-1f);
  float y = mul_add(e, kLn2Low, p * f * f2);
  y = mul_add(-0.5f, f2, y);
  const float result = mul_add(e, kLn2High, f + y);
  const float infinity = __builtin_inff();
  const float at_edge = x == 0.0f ? -infinity : x < 0.0f ? __builtin_nanf("") : x;  // 0, negative, +inf or NaN
  return x > 0.0f && x < infinity ? result : at_edge;
}

/// A polynomial below 0.625 (Cephes tanhf), 1 - 2 / (exp(2|x|) + 1) above.
DML_INLINE float tanh(float x) {
  const float magnitude = abs(x);
  const float z = x * x;
  float p = mul_add(-5.70498872745e-3f, z, 2.06390887954e-2f);
  p = mul_add(p, z, -5.37397155531e-2f);
  p = mul_add(p, z, 1.33314422036e-1f);
  p = mul_add(p, z, -3.33332819422e-1f);
  const float near = mul_add(p * z, x, x);
  const float far = with_sign(1.0f - 2.0f / (exp(2.0f * magnitude) + 1.0f), x);
  return magnitude < 0.625f ? near : far;
}

/// Two minimax polynomials (N. Juffa): of x² below 0.9277, of the exponent of 1 - erf above.
DML_INLINE float erf(float x) {
  const float t = abs(x);
  const float s = x * x;
  float u = mul_add(-1.72853470e-5f, t, 3.83197126e-4f);
  const float v = mul_add(-3.88396438e-3f, t, 2.42546219e-2f);
  u = mul_add(u, s, v);
  u = mul_add(u, t, -1.06777877e-1f);
  u = mul_add(u, t, -6.34846687e-1f);
  u = mul_add(u, t, -1.28717512e-1f);
  u = mul_add(u, t, -t);
  // Beyond 4 the polynomial is not fitted, and erf is 1.
  const float far = with_sign(1.0f - exp(t > 4.0f ? -88.0f : u), x);
  float w = mul_add(-5.96761703e-4f, s, 4.99119423e-3f);
  w = mul_add(w, s, -2.67681349e-2f);
  w = mul_add(w, s, 1.12819925e-1f);
  w = mul_add(w, s, -3.76125336e-1f);
  w = mul_add(w, s, 1.28379166e-1f);
  const float near = mul_add(w, x, x);
  const float finite = t > 0.927734375f ? far : near;
  return x == x ? finite : x;
}

DML_INLINE float sigmoid(float x) { return 1.0f / (1.0f + exp(-x)); }

}  // namespace dml::cpu::DML_VARIANT
