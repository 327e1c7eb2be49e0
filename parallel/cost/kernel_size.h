// By which sizes the time of an operation is measured and predicted: its kernel family, and the axes of that family's
// table.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "models/graph.h"

namespace dml {

/// - MatMul, MatMul.ta, MatMul.tb (a, b transposed): M, N, K, rows of many matrices against one counted together
///   So are products with epilogues
/// - MatMul.batched: matrices, M, N, K
/// - Conv, Conv.1x1, ConvInputGrad, ...: output pixels of all samples, output channels, products per output element
/// - Attention, AttentionGrad, packed or not, with .causal: heads of all samples, √(T S), head width
/// - Softmax, LayerNorm, CrossEntropy, BatchNorm (whose rows are the channels of images) and their gradients: rows,
///   elements of a row
/// - all others: bytes read and written. Operations of one loop share a family, named after one of them; .broadcast
///   where the operands' shapes differ.
struct KernelSize {
  static constexpr int kMostSizes = 4;

  std::string family;
  std::array<double, kMostSizes> values{};
  int num_sizes = 0;
  std::span<const double> sizes() const { return {values.data(), static_cast<std::size_t>(num_sizes)}; }
};

/// The family of an operation, without what its node adds to the name.
std::string_view family_of(std::string_view operation);
KernelSize kernel_size(const Graph& graph, const Node& node);
/// Of a product with an epilogue: the loop that a CPU runs behind the product, which kernel_size is of.
std::optional<KernelSize> following_loop(const Graph& graph, const Node& node);

/// Families of what no node of a graph is; their size is the bytes read and written.
inline constexpr std::string_view kUpdateFamily = "Update";         ///< AdamW
inline constexpr std::string_view kSquaresFamily = "SumOfSquares";  ///< of gradients

}  // namespace dml
