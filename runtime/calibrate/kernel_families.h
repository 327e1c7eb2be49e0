// The operations that calibration measures: for each family of kernel_size.h, graphs of one node of any size.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "models/graph.h"

namespace dml {

struct KernelFamily {
  std::string_view name;  ///< of kernel_size
  /// What is measured: the sizes on each axis.
  std::vector<std::vector<double>> axes;
  /// One node of about these sizes (its kernel_size says which exactly, where the size is bytes). Whole numbers are
  /// wanted by axes that count.
  Graph (*graph)(std::span<const double> sizes);
  /// How much (0 to 1, of the logarithm of the seconds) runs on buffers count that were not used a moment ago. In a
  /// step attention finds its operands in the caches, products, sums and LayerNorm a part of them, others rarely: as
  /// observed.
  double unused_weight = 1;
};

/// All that training uses on a host, in the order of the operations' tables.
std::span<const KernelFamily> kernel_families();

/// Values of integer operands are below this: indices, labels, places in windows.
inline constexpr int kIndexLimit = 8;

// The parts, each in its file.
std::vector<KernelFamily> product_families();
std::vector<KernelFamily> row_families();
std::vector<KernelFamily> memory_families();

}  // namespace dml
