// The order in which an epoch visits its samples: a permutation that every rank computes alike, one element at a time.
#pragma once

#include <cstdint>

namespace dml {

/// Positions 0, 1, ... of an endless run over epochs of `size` samples, as sample numbers in [0, size).
/// A shuffled epoch is a permutation keyed by (seed, epoch): a Feistel network over the next power of four, walked
/// until it lands inside (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). No memory, under four
/// walks each.
class SampleOrder {
 public:
  /// Throws std::invalid_argument where size < 1.
  SampleOrder(std::int64_t size, bool shuffled, std::uint64_t seed);

  std::int64_t size() const { return size_; }
  /// The sample at `position`; epoch position / size.
  std::int64_t at(std::int64_t position) const;

 private:
  std::uint64_t permute(std::uint64_t value, std::uint64_t epoch) const;

  std::int64_t size_;
  bool shuffled_;
  std::uint64_t seed_;
  int half_bits_ = 1;  ///< the network permutes 2 * half_bits_ bits
};

}  // namespace dml
