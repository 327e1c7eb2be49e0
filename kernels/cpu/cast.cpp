#include "kernels/cast.h"

#include "kernels/convert.h"
#include "kernels/cpu/parallel.h"
#include "kernels/error.h"

namespace dml::cpu {

void cast(const TensorView& y, const TensorView& x) {
  DML_ASSERT(y.num_elements() == x.num_elements(), y.shape.to_string() + " from " + x.shape.to_string());
  by_type(y.dtype, [&]<typename To>(To) {
    by_type(x.dtype, [&]<typename From>(From) {
      To* out = y.as<To>();
      const From* in = x.as<const From>();
      parallel_chunks(y.num_elements(), 1, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) out[i] = convert<To>(in[i]);
      });
    });
  });
}

}  // namespace dml::cpu
