#include "tests/device_emulator/nccl/reduction.h"

#include <algorithm>
#include <cstdint>

#include "kernels/bf16.h"

namespace dml::emulator::nccl {

namespace {

template <typename T>
T combine(T a, T b, ncclRedOp_t reduction) {
  switch (reduction) {
    case ncclProd: return static_cast<T>(a * b);
    case ncclMax: return std::max(a, b);
    case ncclMin: return std::min(a, b);
    default: return static_cast<T>(a + b);
  }
}

/// Calls visit with a value of the C++ type that stands for `type`.
template <typename Visit>
void by_type(ncclDataType_t type, Visit visit) {
  switch (type) {
    case ncclInt8: return visit(std::int8_t{});
    case ncclUint8: return visit(std::uint8_t{});
    case ncclInt32: return visit(std::int32_t{});
    case ncclUint32: return visit(std::uint32_t{});
    case ncclInt64: return visit(std::int64_t{});
    case ncclUint64: return visit(std::uint64_t{});
    case ncclFloat32: return visit(float{});
    case ncclFloat64: return visit(double{});
    default: return;
  }
}

}  // namespace

std::size_t element_bytes(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
    case ncclUint8: return 1;
    case ncclFloat16:
    case ncclBfloat16: return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32: return 4;
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64: return 8;
    default: return 0;
  }
}

const char* name_of(ncclDataType_t type) {
  switch (type) {
    case ncclInt8: return "int8";
    case ncclUint8: return "uint8";
    case ncclFloat16: return "float16";
    case ncclBfloat16: return "bfloat16";
    case ncclInt32: return "int32";
    case ncclUint32: return "uint32";
    case ncclFloat32: return "float32";
    case ncclInt64: return "int64";
    case ncclUint64: return "uint64";
    case ncclFloat64: return "float64";
    default: return "unknown type";
  }
}

const char* name_of(ncclRedOp_t reduction) {
  switch (reduction) {
    case ncclSum: return "sum";
    case ncclProd: return "product";
    case ncclMax: return "maximum";
    case ncclMin: return "minimum";
    case ncclAvg: return "average";
    default: return "unknown reduction";
  }
}

bool can_reduce(ncclDataType_t type) { return element_bytes(type) != 0 && type != ncclFloat16; }

void reduce(void* sums, const void* terms, std::size_t count, ncclDataType_t type, ncclRedOp_t reduction) {
  if (type == ncclBfloat16) {
    auto* const to = static_cast<bf16*>(sums);
    const auto* const from = static_cast<const bf16*>(terms);
    for (std::size_t i = 0; i < count; ++i) to[i] = to_bf16(combine(to_float(to[i]), to_float(from[i]), reduction));
    return;
  }
  by_type(type, [&](auto sample) {
    auto* const to = static_cast<decltype(sample)*>(sums);
    const auto* const from = static_cast<const decltype(sample)*>(terms);
    for (std::size_t i = 0; i < count; ++i) to[i] = combine(to[i], from[i], reduction);
  });
}

void divide(void* sums, std::size_t count, ncclDataType_t type, int ranks) {
  if (type == ncclBfloat16) {
    auto* const to = static_cast<bf16*>(sums);
    for (std::size_t i = 0; i < count; ++i) to[i] = to_bf16(to_float(to[i]) / static_cast<float>(ranks));
    return;
  }
  by_type(type, [&](auto sample) {
    using Element = decltype(sample);
    auto* const to = static_cast<Element*>(sums);
    for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<Element>(to[i] / static_cast<Element>(ranks));
  });
}

}  // namespace dml::emulator::nccl
