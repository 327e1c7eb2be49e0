// What stands in the opaque descriptors of cublasLt: each lies in the storage that the library's header sets aside for
// it, so that descriptors made in place work like created ones.
#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace dml::emulator::blas {

struct Layout {
  cudaDataType_t type;
  std::int32_t order;
  std::uint64_t rows;
  std::uint64_t cols;
  std::int64_t ld;
  std::int32_t batch_count;
  std::int32_t batch_mode;
  std::int64_t batch_stride;  ///< elements
  std::int64_t plane_offset;
};

struct Operation {
  std::int32_t compute_type;
  std::int32_t scale_type;
  std::int32_t pointer_mode;
  std::int32_t trans_a;
  std::int32_t trans_b;
  std::int32_t trans_c;
  std::int32_t fill_mode;
  std::uint32_t epilogue;
  void* bias;
  std::int64_t bias_batch_stride;
  std::int32_t bias_type;  ///< -1: that of D
  std::int32_t aux_type;   ///< -1: that of D
  void* aux;
  std::int64_t aux_ld;
  std::int64_t aux_batch_stride;
};

struct Preference {
  std::uint32_t search_mode;
  std::uint32_t reduction_schemes;
  std::uint64_t max_workspace_bytes;
  std::uint32_t min_alignment[4];  ///< of A, B, C, D, in bytes
  float max_waves;
  std::uint64_t implementations;
};

/// A choice of the heuristic, with what it was made for: an algorithm that is used for another product fails.
struct Algorithm {
  std::int32_t id;
  std::uint32_t alignment;  ///< bytes that all operands must have
  std::uint64_t workspace_bytes;
  std::uint64_t problem;  ///< see problem_key
  std::uint64_t seal;     ///< kSeal: written by the heuristic
  static constexpr std::uint64_t kSeal = 0x616c676f72697468;
};

// The opaque storage as what it holds.
Layout* open(cublasLtMatrixLayout_t layout);
Operation* open(cublasLtMatmulDesc_t operation);
Preference* open(cublasLtMatmulPreference_t preference);
Algorithm* open(cublasLtMatmulAlgo_t* algorithm);
const Algorithm* open(const cublasLtMatmulAlgo_t* algorithm);

/// Bytes of an element; 0 for types that are not emulated (all but f32 and bf16).
std::size_t element_bytes(std::int64_t type);

/// The element types of D's companions, with the default resolved.
std::int64_t bias_type(const Operation& operation, const Layout& d);
std::int64_t aux_type(const Operation& operation, const Layout& d);

}  // namespace dml::emulator::blas
