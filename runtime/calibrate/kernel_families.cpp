#include "runtime/calibrate/kernel_families.h"

#include <algorithm>
#include <iterator>

namespace dml {

std::span<const KernelFamily> kernel_families() {
  static const std::vector<KernelFamily> families = [] {
    std::vector<KernelFamily> all = product_families();
    std::ranges::move(row_families(), std::back_inserter(all));
    std::ranges::move(memory_families(), std::back_inserter(all));
    return all;
  }();
  return families;
}

}  // namespace dml
