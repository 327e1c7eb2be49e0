#include "kernels/totals.h"

#include <algorithm>

namespace dml::cpu {

void add_scalar(double* sum, const float* addend) { *sum += static_cast<double>(*addend); }

void count_correct(double* count, const float* logits, const std::int64_t* labels, std::int64_t rows,
                   std::int64_t classes) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* of_row = logits + row * classes;
    *count += std::max_element(of_row, of_row + classes) - of_row == labels[row] ? 1 : 0;
  }
}

}  // namespace dml::cpu
