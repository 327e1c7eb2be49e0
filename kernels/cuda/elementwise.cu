#include "kernels/elementwise.h"

#include "kernels/cuda/device/map.cuh"

namespace dml::cuda {
namespace ops {

template <typename Value>
struct Add {
  __device__ Value operator()(Value a, Value b) const { return a + b; }
};
template <typename Value>
struct Sub {
  __device__ Value operator()(Value a, Value b) const { return a - b; }
};
template <typename Value>
struct Mul {
  __device__ Value operator()(Value a, Value b) const { return a * b; }
};
template <typename Value>
struct Div {
  __device__ Value operator()(Value a, Value b) const { return a / b; }
};
struct Pow {
  bool exponent_is_scalar;
  __device__ float operator()(float a, float b) const {
    if (exponent_is_scalar) {
      if (b == 2.0f) return a * a;
      if (b == 3.0f) return a * a * a;
      if (b == 0.5f) return sqrtf(a);
      if (b == -1.0f) return 1.0f / a;
      if (b == -2.0f) return 1.0f / (a * a);
    }
    return powf(a, b);
  }
};
struct WholePow {
  __device__ std::int64_t operator()(std::int64_t a, std::int64_t b) const {
    std::int64_t result = 1;
    for (; b > 0; --b) result *= a;
    return result;
  }
};

struct Equal {
  template <typename Value>
  __device__ std::uint8_t operator()(Value a, Value b) const {
    return a == b;
  }
};
struct Less {
  template <typename Value>
  __device__ std::uint8_t operator()(Value a, Value b) const {
    return a < b;
  }
};
struct LessOrEqual {
  template <typename Value>
  __device__ std::uint8_t operator()(Value a, Value b) const {
    return a <= b;
  }
};

struct And {
  __device__ std::uint8_t operator()(std::uint8_t a, std::uint8_t b) const { return a != 0 && b != 0; }
};
struct Or {
  __device__ std::uint8_t operator()(std::uint8_t a, std::uint8_t b) const { return a != 0 || b != 0; }
};
struct Not {
  __device__ std::uint8_t operator()(std::uint8_t x) const { return x == 0; }
};

template <typename Value>
struct Choose {
  __device__ Value operator()(std::uint8_t condition, Value a, Value b) const { return condition != 0 ? a : b; }
};

}  // namespace ops

/// The plan with its first two operands exchanged.
static BroadcastPlan exchanged(BroadcastPlan plan) {
  std::swap(plan.strides[0], plan.strides[1]);
  return plan;
}

/// True if operand 1 has one element for the whole result.
static bool is_scalar(const BroadcastPlan& plan) {
  return std::all_of(plan.strides[1].begin(), plan.strides[1].begin() + plan.rank,
                     [](auto stride) { return stride == 0; });
}

template <typename T>
void binary(BinaryOp op, T* y, const T* a, const T* b, const BroadcastPlan& plan, const Queue& queue) {
  using Value = Number<T>;
  switch (op) {
    case BinaryOp::add: return map_broadcast(ops::Add<Value>{}, plan, queue, y, a, b);
    case BinaryOp::sub: return map_broadcast(ops::Sub<Value>{}, plan, queue, y, a, b);
    case BinaryOp::mul: return map_broadcast(ops::Mul<Value>{}, plan, queue, y, a, b);
    case BinaryOp::div: return map_broadcast(ops::Div<Value>{}, plan, queue, y, a, b);
    case BinaryOp::pow: break;
  }
  if constexpr (std::is_same_v<T, std::int64_t>) {
    map_broadcast(ops::WholePow{}, plan, queue, y, a, b);
  } else {
    map_broadcast(ops::Pow{is_scalar(plan)}, plan, queue, y, a, b);
  }
}

template <typename T>
void compare(CompareOp op, std::uint8_t* y, const T* a, const T* b, const BroadcastPlan& plan, const Queue& queue) {
  switch (op) {
    case CompareOp::equal: return map_broadcast(ops::Equal{}, plan, queue, y, a, b);
    case CompareOp::less: return map_broadcast(ops::Less{}, plan, queue, y, a, b);
    case CompareOp::less_or_equal: return map_broadcast(ops::LessOrEqual{}, plan, queue, y, a, b);
    case CompareOp::greater: return map_broadcast(ops::Less{}, exchanged(plan), queue, y, b, a);
    case CompareOp::greater_or_equal: return map_broadcast(ops::LessOrEqual{}, exchanged(plan), queue, y, b, a);
  }
}

void logical(LogicalOp op, std::uint8_t* y, const std::uint8_t* a, const std::uint8_t* b, const BroadcastPlan& plan,
             const Queue& queue) {
  if (op == LogicalOp::conjunction) return map_broadcast(ops::And{}, plan, queue, y, a, b);
  map_broadcast(ops::Or{}, plan, queue, y, a, b);
}

void logical_not(std::uint8_t* y, const std::uint8_t* x, std::int64_t n, const Queue& queue) {
  map_elements(ops::Not{}, n, queue, y, x);
}

template <typename T>
void where(T* y, const std::uint8_t* condition, const T* a, const T* b, const BroadcastPlan& plan, const Queue& queue) {
  map_broadcast(ops::Choose<Number<T>>{}, plan, queue, y, condition, a, b);
}

#define DML_INSTANTIATE(T)                                                                                 \
  template void compare(CompareOp, std::uint8_t*, const T*, const T*, const BroadcastPlan&, const Queue&); \
  template void where(T*, const std::uint8_t*, const T*, const T*, const BroadcastPlan&, const Queue&)
#define DML_INSTANTIATE_NUMBERS(T) \
  DML_INSTANTIATE(T);              \
  template void binary(BinaryOp, T*, const T*, const T*, const BroadcastPlan&, const Queue&)
DML_INSTANTIATE_NUMBERS(float);
DML_INSTANTIATE_NUMBERS(bf16);
DML_INSTANTIATE_NUMBERS(std::int64_t);
DML_INSTANTIATE(std::uint8_t);
#undef DML_INSTANTIATE_NUMBERS
#undef DML_INSTANTIATE

}  // namespace dml::cuda
