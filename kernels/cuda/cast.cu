#include "kernels/cast.h"

#include "kernels/convert.h"
#include "kernels/cuda/device/range.cuh"
#include "kernels/error.h"

namespace dml::cuda {
namespace casting {

inline constexpr int kThreads = 256;
inline constexpr int kPerThread = 4;

template <typename To, typename From>
__global__ void __launch_bounds__(kThreads) cast(To* y, const From* x, std::int64_t n) {
  const std::int64_t first = first_of_thread<kPerThread>();
  const auto in = load_range<kPerThread>(x, first, n);
  Pack<To, kPerThread> out;
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) out.data[k] = convert<To>(in.data[k]);
  store_range(y, first, n, out);
}

}  // namespace casting

void cast(const TensorView& y, const TensorView& x, const Queue& queue) {
  DML_ASSERT(y.num_elements() == x.num_elements(), y.shape.to_string() + " from " + x.shape.to_string());
  const std::int64_t n = y.num_elements();
  by_type(y.dtype, [&]<typename To>(To) {
    by_type(x.dtype, [&]<typename From>(From) {
      launch<casting::cast<To, From>>(blocks_of(n, casting::kThreads * casting::kPerThread), casting::kThreads, 0,
                                      queue, y.as<To>(), x.as<const From>(), n);
    });
  });
}

}  // namespace dml::cuda
