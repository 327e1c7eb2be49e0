// What a kernel found wrong in its data. Kernels cannot throw: they note the first fault in device memory and go on
// with a harmless value; the runtime reads the record with the loss.
#pragma once

#include <cstdint>

namespace dml::cuda {

struct Fault {
  enum Kind : std::int32_t { none, label, index };
  std::int32_t kind = none;  ///< claimed by atomicCAS: the first one stays
  std::int32_t task = -1;    ///< for whoever reports it
  std::int64_t place = 0;    ///< row of the label, position of the index
  std::int64_t value = 0;
  std::int64_t limit = 0;  ///< classes, or rows of the table
};

}  // namespace dml::cuda
