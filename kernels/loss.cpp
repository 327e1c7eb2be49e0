#include "kernels/loss.h"

#include <stdexcept>
#include <string>

namespace dml {

void check_labels(const std::int64_t* labels, std::int64_t rows, std::int64_t classes) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t label = labels[row];
    if ((label < 0 || label >= classes) && label != kIgnoredLabel) {
      throw std::invalid_argument("[cross_entropy] label " + std::to_string(label) + " in row " + std::to_string(row) +
                                  " is outside [0, " + std::to_string(classes) + ")");
    }
  }
}

}  // namespace dml
