#include "kernels/isa.h"

#include <cpuid.h>
#include <oneapi/dnnl/dnnl.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace dml {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"portable", "avx2", "avx512"};

void cap_onednn(Isa cap) {
  // Refused by oneDNN once a primitive exists; ours are capped all the same.
  if (cap == Isa::portable) dnnl_set_max_cpu_isa(dnnl_cpu_isa_sse41);
  if (cap == Isa::avx2) dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
}

/// Of the processor alone; clang 16 does not take the name in __builtin_cpu_supports.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

Isa detect() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  return avx512 ? Isa::avx512 : avx2 ? Isa::avx2 : Isa::portable;
}

Isa capped_by_environment() {
  const char* text = std::getenv("DML_ISA");
  if (text == nullptr || *text == '\0') return detected_isa();
  const Isa cap = parse_isa(text);
  cap_onednn(cap);
  return std::min(cap, detected_isa());
}

std::atomic<Isa>& active() {
  static std::atomic<Isa> isa = capped_by_environment();
  return isa;
}

}  // namespace

std::string_view name_of(Isa isa) { return kNames[static_cast<std::size_t>(isa)]; }

Isa parse_isa(std::string_view name) {
  for (std::size_t index = 0; index < kNames.size(); ++index) {
    if (kNames[index] == name) return static_cast<Isa>(index);
  }
  throw std::invalid_argument("[isa] unknown instruction set '" + std::string(name) +
                              "': portable, avx2 and avx512 exist");
}

Isa detected_isa() {
  static const Isa isa = detect();
  return isa;
}

Isa active_isa() { return active().load(std::memory_order_relaxed); }

void cap_isa(Isa cap) {
  active().store(std::min(cap, detected_isa()), std::memory_order_relaxed);
  cap_onednn(cap);
}

}  // namespace dml
