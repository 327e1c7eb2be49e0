// For sources that are compiled once per instruction set. CMake defines DML_VARIANT (portable, avx2 or avx512) and
// DML_LANES (floats in a vector register); all code lies in namespace dml::cpu::DML_VARIANT, so that the linker never
// takes the inline function of a wider set for a narrower one. Such a source includes little and throws nothing.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

#define DML_INLINE inline __attribute__((always_inline))

// DML_DISPATCH(result, name, (parameters), (arguments)) defines the public dml::cpu::name, which calls the variant of
// the active instruction set. It stands once per function, outside all namespaces, and counts in the portable variant.
#ifdef DML_DEFINE_DISPATCH
#define DML_DISPATCH(result, name, parameters, arguments) \
  namespace dml::cpu::avx2 {                              \
  result name parameters;                                 \
  }                                                       \
  namespace dml::cpu::avx512 {                            \
  result name parameters;                                 \
  }                                                       \
  namespace dml::cpu {                                    \
  result name parameters {                                \
    switch (active_isa()) {                               \
      case Isa::avx512: return avx512::name arguments;    \
      case Isa::avx2: return avx2::name arguments;        \
      case Isa::portable: break;                          \
    }                                                     \
    return portable::name arguments;                      \
  }                                                       \
  }                                                       \
  static_assert(true)
#else
#define DML_DISPATCH(result, name, parameters, arguments) static_assert(true)
#endif

namespace dml::cpu::DML_VARIANT {

inline constexpr std::int64_t kLanes = DML_LANES;

/// kLanes floats; arithmetic is lane by lane. Loads and stores need no alignment.
using Vec __attribute__((vector_size(DML_LANES * sizeof(float)), aligned(4), may_alias)) = float;

DML_INLINE Vec load(const float* p) { return *reinterpret_cast<const Vec*>(p); }
DML_INLINE void store(float* p, Vec v) { *reinterpret_cast<Vec*>(p) = v; }
DML_INLINE Vec splat(float x) {
  Vec v;
  for (int lane = 0; lane < DML_LANES; ++lane) v[lane] = x;
  return v;
}
/// The first n < kLanes elements of p, then `fill`.
DML_INLINE Vec load_first(const float* p, std::int64_t n, float fill) {
  Vec v = splat(fill);
  for (std::int64_t lane = 0; lane < n; ++lane) v[lane] = p[lane];
  return v;
}

DML_INLINE Vec max(Vec a, Vec b) { return a > b ? a : b; }

/// Sums of the lanes in halves: always the same order.
DML_INLINE float sum_lanes(Vec v) {
  float lanes[DML_LANES];
  store(lanes, v);
  for (int half = DML_LANES / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

DML_INLINE float max_lanes(Vec v) {
  float lanes[DML_LANES];
  store(lanes, v);
  for (int half = DML_LANES / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane)
      lanes[lane] = lanes[lane] > lanes[lane + half] ? lanes[lane] : lanes[lane + half];
  }
  return lanes[0];
}

}  // namespace dml::cpu::DML_VARIANT
