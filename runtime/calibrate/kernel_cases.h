// What calibration runs: each family's kernel at the sizes of its table, and at some between.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "kernels/error.h"
#include "kernels/tensor.h"
#include "models/graph.h"
#include "runtime/device/cpu/kernel_table.h"

namespace dml {

/// Memory that tensors are cut from, one after the other, until it is rewound.
class SweepArena {
 public:
  explicit SweepArena(std::size_t bytes) : memory_(bytes / sizeof(Line)) {}

  std::byte* data() { return reinterpret_cast<std::byte*>(memory_.data()); }
  std::size_t size() const { return memory_.size() * sizeof(Line); }
  TensorView take(const Value& value) {
    const TensorView view{data() + used_, value.dtype, value.shape};
    used_ += (view.num_bytes() + sizeof(Line) - 1) / sizeof(Line) * sizeof(Line);
    DML_ASSERT(used_ <= size(), "the arena is too small for " + value.shape.to_string());
    return view;
  }
  void rewind() { used_ = 0; }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> memory_;
  std::size_t used_ = 0;
};

/// Operands: floats of about 1, indices that every table has, and room for results, which nobody reads.
class SweepBuffers {
 public:
  SweepBuffers();

  TensorView operand(const Value& value) { return (is_float(value.dtype) ? floats_ : indices_).take(value); }
  TensorView result(const Value& value) { return results_.take(value); }
  /// More than the caches of a core: what was used so many bytes ago is in none of them.
  static constexpr std::size_t kBeyondCaches = std::size_t{64} << 20;

  /// Writes so much memory, by all threads.
  void flush_caches();
  void rewind() {
    floats_.rewind();
    indices_.rewind();
    results_.rewind();
  }

 private:
  SweepArena floats_, indices_, results_;
  std::vector<float> foreign_;  ///< used by no kernel
};

/// One size of a family, and how long it took.
struct KernelCase {
  std::vector<double> sizes;
  double bytes = 0;
  std::function<Kernel(SweepBuffers&)> bind;
  std::vector<double> used = {}, unused = {};  ///< seconds on buffers used a moment ago, and on others

  /// Means, as a step adds seconds up, but for repetitions that were plainly disturbed.
  double seconds(double unused_weight) const;
  double spread() const;
};

struct CaseFamily {
  std::string name;
  double unused_weight = 1;
  std::size_t num_axes = 1;
  std::vector<std::size_t> extents = {};  ///< points on each axis
  std::vector<KernelCase> points = {};    ///< row-major
  std::vector<KernelCase> between = {};   ///< sizes between the points, for the residual
};

/// Of all that training uses on a host; nothing is measured yet.
std::vector<CaseFamily> all_families();

}  // namespace dml
