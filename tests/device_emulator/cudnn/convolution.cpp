// The convolutions of cuDNN's legacy interface: algorithms, workspaces, argument checks, and the three calls.
#include <cudnn.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/device_emulator/cudnn/convolution_sums.h"
#include "tests/device_emulator/cudnn/descriptors.h"
#include "tests/device_emulator/emulator.h"

struct cudnnContext {
  int device;
  cudaStream_t stream;
};

namespace dml::emulator::dnn {

namespace {

enum class Direction { forward, data, filter };

/// An algorithm of the library; the ones that are not listed are not supported here.
struct Kind {
  int id;
  bool is_deterministic;
  bool needs_workspace;
};
constexpr Kind kForward[] = {{CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, true, false},
                             {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, true, true},
                             {CUDNN_CONVOLUTION_FWD_ALGO_GEMM, true, true}};
constexpr Kind kData[] = {{CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, false, false},
                          {CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, true, true}};
constexpr Kind kFilter[] = {{CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, false, false},
                            {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, true, true},
                            {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3, false, true}};

std::vector<Kind> kinds_of(Direction direction) {
  if (direction == Direction::forward) return {std::begin(kForward), std::end(kForward)};
  if (direction == Direction::data) return {std::begin(kData), std::end(kData)};
  return {std::begin(kFilter), std::end(kFilter)};
}

/// What an algorithm with workspace takes: the columns of one image, about as the real ones do.
std::size_t workspace_of(const Geometry& g, const Kind& kind) {
  if (!kind.needs_workspace) return 0;
  const std::int64_t taps = g.w.dims[1] * g.w.dims[2] * g.w.dims[3];
  return static_cast<std::size_t>(taps * g.y.dims[2] * g.y.dims[3]) * sizeof(float) + static_cast<std::size_t>(kind.id);
}

cudnnStatus_t read_geometry(Geometry& g, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                            cudnnConvolutionDescriptor_t convolution, cudnnTensorDescriptor_t y) {
  if (x == nullptr || w == nullptr || convolution == nullptr || y == nullptr) {
    return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  }
  if (!x->is_set || !w->is_set || !convolution->is_set || !y->is_set) {
    return refuse(CUDNN_STATUS_BAD_PARAM, "a descriptor was created but never set");
  }
  g = {*x, *y, *w, *convolution};
  return CUDNN_STATUS_SUCCESS;
}

/// Plain float32 products where TF32 is not allowed: the default math type of float32 data would use TF32.
void check_math(const Geometry& g) {
  if (uses_tf32(g) && !is_set("EMULATOR_ALLOW_TF32")) {
    violation(
        "cudnn: a float32 convolution without CUDNN_FMA_MATH may use TF32, which is not allowed "
        "(EMULATOR_ALLOW_TF32=1 allows it)");
  }
}

cudnnStatus_t check(const Geometry& g) {
  if (g.x.type != g.w.type || g.x.type != g.y.type) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "element types differ");
  const auto [K, C, R, S] = g.w.dims;
  const int groups = g.convolution.groups;
  if (C * groups != g.x.dims[1] || K % groups != 0) {
    return refuse(CUDNN_STATUS_BAD_PARAM, "channels of x, of the filter and groups do not fit");
  }
  const bool fits = g.y.dims[0] == g.x.dims[0] && g.y.dims[1] == K &&
                    g.y.dims[2] == places(g.convolution, g.x.dims[2], R, 0) &&
                    g.y.dims[3] == places(g.convolution, g.x.dims[3], S, 1);
  if (!fits) return refuse(CUDNN_STATUS_BAD_PARAM, "y's dims are not those of the convolution");
  check_math(g);
  return CUDNN_STATUS_SUCCESS;
}

/// The algorithms, those of seed's choice first, as the library reports them.
template <typename Performance>
cudnnStatus_t list_algorithms(const Geometry& g, Direction direction, int wanted, int* count, Performance* results) {
  if (count == nullptr || results == nullptr || wanted < 1) return CUDNN_STATUS_BAD_PARAM;
  if (const auto status = check(g)) return status;
  std::vector<Kind> kinds = kinds_of(direction);
  const std::string what = "cudnn algorithms " + std::to_string(static_cast<int>(direction)) + " " +
                           std::to_string(extent(g.w)) + " " + std::to_string(extent(g.x));
  std::rotate(kinds.begin(), kinds.begin() + static_cast<std::ptrdiff_t>(draw(what) % kinds.size()), kinds.end());
  *count = std::min(wanted, static_cast<int>(kinds.size()));
  for (int i = 0; i < *count; ++i) {
    const Kind& kind = kinds[static_cast<std::size_t>(i)];
    results[i] = {};
    results[i].algo = static_cast<decltype(results[i].algo)>(kind.id);
    results[i].status = CUDNN_STATUS_SUCCESS;
    results[i].time = static_cast<float>(i + 1);
    results[i].memory = workspace_of(g, kind);
    results[i].determinism = kind.is_deterministic ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC;
    results[i].mathType = g.convolution.math_type;
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t find_kind(Kind& kind, Direction direction, int id) {
  const std::vector<Kind> kinds = kinds_of(direction);
  const auto found = std::find_if(kinds.begin(), kinds.end(), [id](const Kind& k) { return k.id == id; });
  if (found == kinds.end()) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "algorithm is not emulated");
  kind = *found;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t workspace_size(const Geometry& g, Direction direction, int algorithm, std::size_t* bytes) {
  if (bytes == nullptr) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  if (const auto status = check(g)) return status;
  Kind kind{};
  if (const auto status = find_kind(kind, direction, algorithm)) return status;
  *bytes = workspace_of(g, kind);
  return CUDNN_STATUS_SUCCESS;
}

/// One of the three calls, with the tensors in the roles they have for x, w and y.
struct Call {
  const char* api;
  Direction direction;
  int algorithm;
  void* x;
  void* w;
  void* y;
  void* workspace;
  std::size_t workspace_bytes;
  const void* alpha;
  const void* beta;
};

void* result_of(const Call& call) {
  return call.direction == Direction::forward ? call.y : call.direction == Direction::data ? call.x : call.w;
}

cudnnStatus_t check_call(const cudnnContext& handle, const Geometry& g, const Call& call, std::size_t& needed) {
  if (call.x == nullptr || call.w == nullptr || call.y == nullptr || call.alpha == nullptr || call.beta == nullptr) {
    return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  }
  if (is_device_memory(call.alpha) || is_device_memory(call.beta)) violation("cudnn: alpha or beta in device memory");
  if (handle.device != device_of(handle.stream)) {
    violation(std::string(call.api) + ": the handle was made for another device than its stream's");
  }
  if (const auto status = check(g)) return status;
  Kind kind{};
  if (const auto status = find_kind(kind, call.direction, call.algorithm)) return status;
  if (!kind.is_deterministic && !is_set("EMULATOR_ALLOW_NONDETERMINISTIC")) {
    violation(std::string(call.api) + ": algorithm " + std::to_string(call.algorithm) + " is not deterministic");
  }
  needed = workspace_of(g, kind);
  if (call.workspace_bytes < needed || (needed > 0 && call.workspace == nullptr)) {
    return refuse(CUDNN_STATUS_BAD_PARAM, "the workspace is smaller than the algorithm needs");
  }
  return CUDNN_STATUS_SUCCESS;
}

void run(const Geometry& g, const Call& call, float alpha, float beta) {
  switch (call.direction) {
    case Direction::forward: return forward(g, call.y, call.x, call.w, alpha, beta);
    case Direction::data: return backward_data(g, call.x, call.y, call.w, alpha, beta);
    case Direction::filter: return backward_filter(g, call.w, call.y, call.x, alpha, beta);
  }
}

cudnnStatus_t submit(cudnnHandle_t handle, const Geometry& g, const Call& call) {
  std::size_t needed = 0;
  if (const auto status = check_call(*handle, g, call, needed)) return status;
  const float alpha = *static_cast<const float*>(call.alpha), beta = *static_cast<const float*>(call.beta);
  const std::size_t element = element_bytes(g.x.type);
  const void* const result = result_of(call);
  const auto range = [&](const void* data, std::int64_t elems) {
    return Range{data, static_cast<std::size_t>(elems) * element, data == result};
  };
  std::vector<Range> ranges{range(call.x, extent(g.x)), range(call.w, extent(g.w)), range(call.y, extent(g.y))};
  if (needed > 0) ranges.push_back(writes(call.workspace, needed));
  if (uses_tf32(g)) count((std::string(call.api) + ".tf32").c_str());
  const auto work = [g, call, alpha, beta, needed] {
    if (needed > 0) std::memset(call.workspace, 0xff, needed);  // whoever shares it at this time sees it
    run(g, call, alpha, beta);
  };
  const cudaError_t code = enqueue(handle->stream, operation(call.api, ranges, work));
  return code == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}

void* writable(const void* data) { return const_cast<void*>(data); }

}  // namespace

}  // namespace dml::emulator::dnn

using namespace dml::emulator::dnn;

extern "C" {

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  EMULATOR_ENTRY(cudnnStatus_t);
  if (handle == nullptr) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  *handle = new cudnnContext{dml::emulator::current_device(), nullptr};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  EMULATOR_ENTRY(cudnnStatus_t);
  if (handle == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  EMULATOR_ENTRY(cudnnStatus_t);
  if (handle == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
  if (dml::emulator::device_of(stream) != handle->device) {
    return refuse(CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH, "the stream is of another device than the handle");
  }
  handle->stream = dml::emulator::stream_of_call("cudnnSetStream", stream);
  return CUDNN_STATUS_SUCCESS;
}
size_t cudnnGetVersion() { return CUDNN_VERSION; }
size_t cudnnGetCudartVersion() { return CUDART_VERSION; }

const char* cudnnGetErrorString(cudnnStatus_t status) {
  switch (status) {
    case CUDNN_STATUS_SUCCESS: return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_INITIALIZED: return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_BAD_PARAM_NULL_POINTER: return "CUDNN_STATUS_BAD_PARAM_NULL_POINTER";
    case CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH: return "CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH";
    case CUDNN_STATUS_NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_INTERNAL_ERROR: return "CUDNN_STATUS_INTERNAL_ERROR";
    case CUDNN_STATUS_EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
    default: return "CUDNN_UNKNOWN_STATUS";
  }
}

cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(const cudnnConvolutionDescriptor_t convolution,
                                                    const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t w,
                                                    int* n, int* c, int* h, int* width) {
  if (convolution == nullptr || x == nullptr || w == nullptr) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  *n = static_cast<int>(x->dims[0]);
  *c = static_cast<int>(w->dims[0]);
  *h = static_cast<int>(places(*convolution, x->dims[2], w->dims[2], 0));
  *width = static_cast<int>(places(*convolution, x->dims[3], w->dims[3], 1));
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                     const cudnnFilterDescriptor_t w,
                                                     const cudnnConvolutionDescriptor_t convolution,
                                                     const cudnnTensorDescriptor_t y, const int wanted, int* count,
                                                     cudnnConvolutionFwdAlgoPerf_t* results) {
  EMULATOR_ENTRY(cudnnStatus_t);
  if (handle == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
  Geometry g;
  if (const auto status = read_geometry(g, x, w, convolution, y)) return status;
  return list_algorithms(g, Direction::forward, wanted, count, results);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t handle, const cudnnFilterDescriptor_t w,
                                                          const cudnnTensorDescriptor_t dy,
                                                          const cudnnConvolutionDescriptor_t convolution,
                                                          const cudnnTensorDescriptor_t dx, const int wanted,
                                                          int* count, cudnnConvolutionBwdDataAlgoPerf_t* results) {
  EMULATOR_ENTRY(cudnnStatus_t);
  if (handle == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
  Geometry g;
  if (const auto status = read_geometry(g, dx, w, convolution, dy)) return status;
  return list_algorithms(g, Direction::data, wanted, count, results);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                            const cudnnTensorDescriptor_t dy,
                                                            const cudnnConvolutionDescriptor_t convolution,
                                                            const cudnnFilterDescriptor_t dw, const int wanted,
                                                            int* count, cudnnConvolutionBwdFilterAlgoPerf_t* results) {
  EMULATOR_ENTRY(cudnnStatus_t);
  if (handle == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
  Geometry g;
  if (const auto status = read_geometry(g, x, dw, convolution, dy)) return status;
  return list_algorithms(g, Direction::filter, wanted, count, results);
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                      const cudnnFilterDescriptor_t w,
                                                      const cudnnConvolutionDescriptor_t convolution,
                                                      const cudnnTensorDescriptor_t y,
                                                      cudnnConvolutionFwdAlgo_t algorithm, size_t* bytes) {
  if (handle == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
  Geometry g;
  if (const auto status = read_geometry(g, x, w, convolution, y)) return status;
  return workspace_size(g, Direction::forward, algorithm, bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t handle, const cudnnFilterDescriptor_t w,
                                                           const cudnnTensorDescriptor_t dy,
                                                           const cudnnConvolutionDescriptor_t convolution,
                                                           const cudnnTensorDescriptor_t dx,
                                                           cudnnConvolutionBwdDataAlgo_t algorithm, size_t* bytes) {
  if (handle == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
  Geometry g;
  if (const auto status = read_geometry(g, dx, w, convolution, dy)) return status;
  return workspace_size(g, Direction::data, algorithm, bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                             const cudnnTensorDescriptor_t dy,
                                                             const cudnnConvolutionDescriptor_t convolution,
                                                             const cudnnFilterDescriptor_t dw,
                                                             cudnnConvolutionBwdFilterAlgo_t algorithm, size_t* bytes) {
  if (handle == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
  Geometry g;
  if (const auto status = read_geometry(g, x, dw, convolution, dy)) return status;
  return workspace_size(g, Direction::filter, algorithm, bytes);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void* alpha, const cudnnTensorDescriptor_t x_layout,
                                      const void* x, const cudnnFilterDescriptor_t w_layout, const void* w,
                                      const cudnnConvolutionDescriptor_t convolution,
                                      cudnnConvolutionFwdAlgo_t algorithm, void* workspace, size_t workspace_bytes,
                                      const void* beta, const cudnnTensorDescriptor_t y_layout, void* y) {
  EMULATOR_ENTRY(cudnnStatus_t);
  if (handle == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
  Geometry g;
  if (const auto status = read_geometry(g, x_layout, w_layout, convolution, y_layout)) return status;
  return submit(handle, g,
                {"cudnnConvolutionForward", Direction::forward, algorithm, writable(x), writable(w), y, workspace,
                 workspace_bytes, alpha, beta});
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void* alpha,
                                           const cudnnFilterDescriptor_t w_layout, const void* w,
                                           const cudnnTensorDescriptor_t dy_layout, const void* dy,
                                           const cudnnConvolutionDescriptor_t convolution,
                                           cudnnConvolutionBwdDataAlgo_t algorithm, void* workspace,
                                           size_t workspace_bytes, const void* beta,
                                           const cudnnTensorDescriptor_t dx_layout, void* dx) {
  EMULATOR_ENTRY(cudnnStatus_t);
  if (handle == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
  Geometry g;
  if (const auto status = read_geometry(g, dx_layout, w_layout, convolution, dy_layout)) return status;
  return submit(handle, g,
                {"cudnnConvolutionBackwardData", Direction::data, algorithm, dx, writable(w), writable(dy), workspace,
                 workspace_bytes, alpha, beta});
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void* alpha,
                                             const cudnnTensorDescriptor_t x_layout, const void* x,
                                             const cudnnTensorDescriptor_t dy_layout, const void* dy,
                                             const cudnnConvolutionDescriptor_t convolution,
                                             cudnnConvolutionBwdFilterAlgo_t algorithm, void* workspace,
                                             size_t workspace_bytes, const void* beta,
                                             const cudnnFilterDescriptor_t dw_layout, void* dw) {
  EMULATOR_ENTRY(cudnnStatus_t);
  if (handle == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
  Geometry g;
  if (const auto status = read_geometry(g, x_layout, dw_layout, convolution, dy_layout)) return status;
  return submit(handle, g,
                {"cudnnConvolutionBackwardFilter", Direction::filter, algorithm, writable(x), dw, writable(dy),
                 workspace, workspace_bytes, alpha, beta});
}

}  // extern "C"
