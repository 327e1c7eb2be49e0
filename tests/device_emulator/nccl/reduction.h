// Sums, products, maxima, minima and averages over the types of NCCL.
#pragma once

#include <nccl.h>

#include <cstddef>

namespace dml::emulator::nccl {

/// 0 for types that are not emulated.
std::size_t element_bytes(ncclDataType_t type);
const char* name_of(ncclDataType_t type);
const char* name_of(ncclRedOp_t reduction);

/// Whether elements of the type can be reduced here (all but half precision and 8-bit floats).
bool can_reduce(ncclDataType_t type);

/// sums[i] = sums[i] reduced with terms[i]; bf16 is rounded after each step, as on the way around a ring.
void reduce(void* sums, const void* terms, std::size_t count, ncclDataType_t type, ncclRedOp_t reduction);

/// sums[i] /= ranks
void divide(void* sums, std::size_t count, ncclDataType_t type, int ranks);

}  // namespace dml::emulator::nccl
