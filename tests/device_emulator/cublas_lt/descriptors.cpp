#include "tests/device_emulator/cublas_lt/descriptors.h"

#include <cstring>
#include <type_traits>

#include "tests/device_emulator/library.h"

namespace dml::emulator::blas {

namespace {

template <typename Held, typename Opaque>
Held* held(Opaque* opaque) {
  static_assert(sizeof(Held) <= sizeof(Opaque) && std::is_trivially_copyable_v<Held>);
  return reinterpret_cast<Held*>(opaque);
}

/// Where an attribute stands in its descriptor.
struct Place {
  int attribute;
  std::size_t offset;
  std::size_t bytes;
};

#define PLACE(attribute, held, member) \
  { attribute, offsetof(held, member), sizeof(held::member) }

constexpr Place kLayoutPlaces[] = {
    PLACE(CUBLASLT_MATRIX_LAYOUT_TYPE, Layout, type),
    PLACE(CUBLASLT_MATRIX_LAYOUT_ORDER, Layout, order),
    PLACE(CUBLASLT_MATRIX_LAYOUT_ROWS, Layout, rows),
    PLACE(CUBLASLT_MATRIX_LAYOUT_COLS, Layout, cols),
    PLACE(CUBLASLT_MATRIX_LAYOUT_LD, Layout, ld),
    PLACE(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, Layout, batch_count),
    PLACE(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, Layout, batch_stride),
    PLACE(CUBLASLT_MATRIX_LAYOUT_PLANE_OFFSET, Layout, plane_offset),
    PLACE(CUBLASLT_MATRIX_LAYOUT_BATCH_MODE, Layout, batch_mode),
};

constexpr Place kOperationPlaces[] = {
    PLACE(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, Operation, compute_type),
    PLACE(CUBLASLT_MATMUL_DESC_SCALE_TYPE, Operation, scale_type),
    PLACE(CUBLASLT_MATMUL_DESC_POINTER_MODE, Operation, pointer_mode),
    PLACE(CUBLASLT_MATMUL_DESC_TRANSA, Operation, trans_a),
    PLACE(CUBLASLT_MATMUL_DESC_TRANSB, Operation, trans_b),
    PLACE(CUBLASLT_MATMUL_DESC_TRANSC, Operation, trans_c),
    PLACE(CUBLASLT_MATMUL_DESC_FILL_MODE, Operation, fill_mode),
    PLACE(CUBLASLT_MATMUL_DESC_EPILOGUE, Operation, epilogue),
    PLACE(CUBLASLT_MATMUL_DESC_BIAS_POINTER, Operation, bias),
    PLACE(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, Operation, bias_batch_stride),
    PLACE(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, Operation, bias_type),
    PLACE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, Operation, aux),
    PLACE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, Operation, aux_ld),
    PLACE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, Operation, aux_batch_stride),
    PLACE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, Operation, aux_type),
};

constexpr Place kPreferencePlaces[] = {
    PLACE(CUBLASLT_MATMUL_PREF_SEARCH_MODE, Preference, search_mode),
    PLACE(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, Preference, max_workspace_bytes),
    PLACE(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, Preference, reduction_schemes),
    PLACE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, Preference, min_alignment[0]),
    PLACE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, Preference, min_alignment[1]),
    PLACE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, Preference, min_alignment[2]),
    PLACE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, Preference, min_alignment[3]),
    PLACE(CUBLASLT_MATMUL_PREF_MAX_WAVES_COUNT, Preference, max_waves),
    PLACE(CUBLASLT_MATMUL_PREF_IMPL_MASK, Preference, implementations),
};

#undef PLACE

template <std::size_t n>
const Place* find(const Place (&places)[n], int attribute) {
  for (const Place& place : places) {
    if (place.attribute == attribute) return &place;
  }
  return nullptr;
}

/// An attribute that is not emulated may be known to the real library: it is refused as not supported.
template <std::size_t n>
cublasStatus_t set(void* descriptor, const Place (&places)[n], int attribute, const void* value, std::size_t bytes) {
  if (descriptor == nullptr || value == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const Place* place = find(places, attribute);
  if (place == nullptr) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (bytes != place->bytes) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(static_cast<char*>(descriptor) + place->offset, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

template <std::size_t n>
cublasStatus_t get(const void* descriptor, const Place (&places)[n], int attribute, void* value, std::size_t bytes,
                   std::size_t* written) {
  if (descriptor == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const Place* place = find(places, attribute);
  if (place == nullptr) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (bytes == 0 && written == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (bytes != 0 && (value == nullptr || bytes != place->bytes)) return CUBLAS_STATUS_INVALID_VALUE;
  if (bytes != 0) std::memcpy(value, static_cast<const char*>(descriptor) + place->offset, bytes);
  if (written != nullptr) *written = place->bytes;
  return CUBLAS_STATUS_SUCCESS;
}

template <typename Opaque, typename Held>
cublasStatus_t initialise(Opaque* opaque, std::size_t bytes, const Held& value) {
  if (opaque == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (bytes < sizeof(Opaque)) return CUBLAS_STATUS_ALLOC_FAILED;
  std::memset(opaque, 0, sizeof(Opaque));
  *held<Held>(opaque) = value;
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

Layout* open(cublasLtMatrixLayout_t layout) { return held<Layout>(layout); }
Operation* open(cublasLtMatmulDesc_t operation) { return held<Operation>(operation); }
Preference* open(cublasLtMatmulPreference_t preference) { return held<Preference>(preference); }
Algorithm* open(cublasLtMatmulAlgo_t* algorithm) { return held<Algorithm>(algorithm); }
const Algorithm* open(const cublasLtMatmulAlgo_t* algorithm) {
  return held<Algorithm>(const_cast<cublasLtMatmulAlgo_t*>(algorithm));
}

std::size_t element_bytes(std::int64_t type) { return type == CUDA_R_32F ? 4 : type == CUDA_R_16BF ? 2 : 0; }

std::int64_t bias_type(const Operation& operation, const Layout& d) {
  return operation.bias_type < 0 ? d.type : operation.bias_type;
}
std::int64_t aux_type(const Operation& operation, const Layout& d) {
  return operation.aux_type < 0 ? d.type : operation.aux_type;
}

}  // namespace dml::emulator::blas

using namespace dml::emulator::blas;

extern "C" {

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t layout, size_t bytes, cudaDataType type,
                                                 uint64_t rows, uint64_t cols, int64_t ld) {
  return initialise(layout, bytes, Layout{type, CUBLASLT_ORDER_COL, rows, cols, ld, 1, 0, 0, 0});
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t cols, int64_t ld) {
  EMULATOR_ENTRY(cublasStatus_t);
  if (layout == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *layout = new cublasLtMatrixLayoutOpaque_t;
  return cublasLtMatrixLayoutInit(*layout, type, rows, cols, ld);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  EMULATOR_ENTRY(cublasStatus_t);
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t name,
                                                const void* value, size_t bytes) {
  EMULATOR_ENTRY(cublasStatus_t);
  return set(layout, kLayoutPlaces, name, value, bytes);
}
cublasStatus_t cublasLtMatrixLayoutGetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t name,
                                                void* value, size_t bytes, size_t* written) {
  return get(layout, kLayoutPlaces, name, value, bytes, written);
}

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t operation, size_t bytes,
                                               cublasComputeType_t compute_type, cudaDataType_t scale_type) {
  Operation value{};
  value.compute_type = compute_type;
  value.scale_type = scale_type;
  value.pointer_mode = CUBLASLT_POINTER_MODE_HOST;
  value.fill_mode = CUBLAS_FILL_MODE_FULL;
  value.epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  value.bias_type = value.aux_type = -1;
  return initialise(operation, bytes, value);
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* operation, cublasComputeType_t compute_type,
                                        cudaDataType_t scale_type) {
  EMULATOR_ENTRY(cublasStatus_t);
  if (operation == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *operation = new cublasLtMatmulDescOpaque_t;
  return cublasLtMatmulDescInit(*operation, compute_type, scale_type);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
  EMULATOR_ENTRY(cublasStatus_t);
  delete operation;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name,
                                              const void* value, size_t bytes) {
  EMULATOR_ENTRY(cublasStatus_t);
  return set(operation, kOperationPlaces, name, value, bytes);
}
cublasStatus_t cublasLtMatmulDescGetAttribute(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name,
                                              void* value, size_t bytes, size_t* written) {
  return get(operation, kOperationPlaces, name, value, bytes, written);
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t preference, size_t bytes) {
  return initialise(
      preference, bytes,
      Preference{
          CUBLASLT_SEARCH_BEST_FIT, CUBLASLT_REDUCTION_SCHEME_MASK, 0, {256, 256, 256, 256}, 0, ~std::uint64_t{0}});
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  EMULATOR_ENTRY(cublasStatus_t);
  if (preference == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *preference = new cublasLtMatmulPreferenceOpaque_t;
  return cublasLtMatmulPreferenceInit(*preference);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  EMULATOR_ENTRY(cublasStatus_t);
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t name, const void* value,
                                                    size_t bytes) {
  EMULATOR_ENTRY(cublasStatus_t);
  return set(preference, kPreferencePlaces, name, value, bytes);
}
cublasStatus_t cublasLtMatmulPreferenceGetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t name, void* value,
                                                    size_t bytes, size_t* written) {
  return get(preference, kPreferencePlaces, name, value, bytes, written);
}

}  // extern "C"
