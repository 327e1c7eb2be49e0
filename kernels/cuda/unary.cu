#include "kernels/unary.h"

#include "kernels/cuda/device/map.cuh"

namespace dml::cuda {
namespace ops {

inline constexpr float kSqrtHalf = 0.70710678118654752f;
inline constexpr float kInverseSqrtTwoPi = 0.39894228040143268f;
inline constexpr float kSqrtTwoOverPi = 0.79788456080286536f;
inline constexpr float kGeluCubic = 0.044715f;

struct Relu {
  __device__ float operator()(float x) const { return x < 0.0f ? 0.0f : x; }  // of NaN: NaN
};
struct Sigmoid {
  __device__ float operator()(float x) const { return 1.0f / (1.0f + expf(-x)); }
};
struct Tanh {
  __device__ float operator()(float x) const { return tanhf(x); }
};
struct Erf {
  __device__ float operator()(float x) const { return erff(x); }
};
struct Exp {
  __device__ float operator()(float x) const { return expf(x); }
};
struct Log {
  __device__ float operator()(float x) const { return logf(x); }
};
struct Sqrt {
  __device__ float operator()(float x) const { return sqrtf(x); }
};
template <typename Value>
struct Neg {
  __device__ Value operator()(Value x) const { return -x; }
};
struct Reciprocal {
  __device__ float operator()(float x) const { return 1.0f / x; }
};
struct Abs {
  __device__ float operator()(float x) const { return fabsf(x); }
};
struct WholeAbs {
  __device__ std::int64_t operator()(std::int64_t x) const { return x < 0 ? -x : x; }
};
struct Gelu {
  __device__ float operator()(float x) const { return 0.5f * x * (1.0f + erff(x * kSqrtHalf)); }
};
struct GeluTanh {
  __device__ float operator()(float x) const {
    return 0.5f * x * (1.0f + tanhf(kSqrtTwoOverPi * fmaf(kGeluCubic * x * x, x, x)));
  }
};
struct Clip {
  float low, high;
  __device__ float operator()(float x) const {
    const float raised = x < low ? low : x;
    return raised > high ? high : raised;
  }
};

struct ReluGrad {
  __device__ float operator()(float dy, float y) const { return y <= 0.0f ? 0.0f : dy; }
};
struct SigmoidGrad {
  __device__ float operator()(float dy, float y) const { return dy * (1.0f - y) * y; }
};
struct TanhGrad {
  __device__ float operator()(float dy, float y) const { return dy * (1.0f - y * y); }
};
struct GeluGrad {
  __device__ float operator()(float dy, float x) const {
    const float below = 0.5f * (1.0f + erff(x * kSqrtHalf));
    return dy * fmaf(x, kInverseSqrtTwoPi * expf(-0.5f * x * x), below);
  }
};
struct GeluTanhGrad {
  __device__ float operator()(float dy, float x) const {
    const float x2 = x * x;
    const float t = tanhf(kSqrtTwoOverPi * fmaf(kGeluCubic * x2, x, x));
    const float inner_grad = kSqrtTwoOverPi * fmaf(3.0f * kGeluCubic, x2, 1.0f);
    return dy * (0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner_grad);
  }
};
struct ClipGrad {
  float low, high;
  __device__ float operator()(float dy, float x) const { return x < low || x > high ? 0.0f : dy; }
};

}  // namespace ops

template <typename T>
void unary(UnaryOp op, T* y, const T* x, std::int64_t n, const Queue& queue) {
  const auto map = [&](const auto& function) { map_elements(function, n, queue, y, x); };
  switch (op) {
    case UnaryOp::relu: return map(ops::Relu{});
    case UnaryOp::sigmoid: return map(ops::Sigmoid{});
    case UnaryOp::tanh: return map(ops::Tanh{});
    case UnaryOp::erf: return map(ops::Erf{});
    case UnaryOp::exp: return map(ops::Exp{});
    case UnaryOp::log: return map(ops::Log{});
    case UnaryOp::sqrt: return map(ops::Sqrt{});
    case UnaryOp::neg: return map(ops::Neg<float>{});
    case UnaryOp::reciprocal: return map(ops::Reciprocal{});
    case UnaryOp::abs: return map(ops::Abs{});
    case UnaryOp::gelu: return map(ops::Gelu{});
    case UnaryOp::gelu_tanh: return map(ops::GeluTanh{});
  }
}

template <>
void unary(UnaryOp op, std::int64_t* y, const std::int64_t* x, std::int64_t n, const Queue& queue) {
  if (op == UnaryOp::neg) return map_elements(ops::Neg<std::int64_t>{}, n, queue, y, x);
  map_elements(ops::WholeAbs{}, n, queue, y, x);
}

template <typename T>
void clip(T* y, const T* x, std::int64_t n, float low, float high, const Queue& queue) {
  map_elements(ops::Clip{low, high}, n, queue, y, x);
}

template <typename T>
void unary_grad(OutputGradOp op, T* dx, const T* dy, const T* y, std::int64_t n, const Queue& queue) {
  switch (op) {
    case OutputGradOp::relu: return map_elements(ops::ReluGrad{}, n, queue, dx, dy, y);
    case OutputGradOp::sigmoid: return map_elements(ops::SigmoidGrad{}, n, queue, dx, dy, y);
    case OutputGradOp::tanh: return map_elements(ops::TanhGrad{}, n, queue, dx, dy, y);
  }
}

template <typename T>
void unary_grad(InputGradOp op, T* dx, const T* dy, const T* x, std::int64_t n, const Queue& queue) {
  switch (op) {
    case InputGradOp::gelu: return map_elements(ops::GeluGrad{}, n, queue, dx, dy, x);
    case InputGradOp::gelu_tanh: return map_elements(ops::GeluTanhGrad{}, n, queue, dx, dy, x);
  }
}

template <typename T>
void clip_grad(T* dx, const T* dy, const T* x, std::int64_t n, float low, float high, const Queue& queue) {
  map_elements(ops::ClipGrad{low, high}, n, queue, dx, dy, x);
}

#define DML_INSTANTIATE(T)                                                                    \
  template void unary(UnaryOp, T*, const T*, std::int64_t, const Queue&);                     \
  template void clip(T*, const T*, std::int64_t, float, float, const Queue&);                 \
  template void unary_grad(OutputGradOp, T*, const T*, const T*, std::int64_t, const Queue&); \
  template void unary_grad(InputGradOp, T*, const T*, const T*, std::int64_t, const Queue&);  \
  template void clip_grad(T*, const T*, const T*, std::int64_t, float, float, const Queue&)
DML_INSTANTIATE(float);
DML_INSTANTIATE(bf16);
#undef DML_INSTANTIATE

}  // namespace dml::cuda
