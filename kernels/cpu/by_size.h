// Kernels that move elements without looking at them are written once per element size.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dml::cpu {

/// body(T{}) with an unsigned T of elem_size bytes: 1, 2, 4 or 8.
template <typename Body>
static inline void by_size(std::size_t elem_size, const Body& body) {
  switch (elem_size) {
    case 1: return body(std::uint8_t{});
    case 2: return body(std::uint16_t{});
    case 4: return body(std::uint32_t{});
    default: return body(std::uint64_t{});
  }
}

}  // namespace dml::cpu
