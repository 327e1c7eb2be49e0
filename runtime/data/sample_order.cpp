#include "runtime/data/sample_order.h"

#include <fmt/format.h>

#include <stdexcept>

#include "kernels/philox.h"

namespace dml {
namespace {

constexpr std::uint32_t kRounds = 6;
/// Keeps these random numbers apart from those of weights and dropout masks under the same seed.
constexpr std::uint32_t kStream = 0x6f726472;

}  // namespace

SampleOrder::SampleOrder(std::int64_t size, bool shuffled, std::uint64_t seed)
    : size_(size), shuffled_(shuffled), seed_(seed) {
  if (size < 1) throw std::invalid_argument(fmt::format("[sample order] size is {}", size));
  while (half_bits_ < 31 && (std::int64_t{1} << (2 * half_bits_)) < size) ++half_bits_;
}

std::int64_t SampleOrder::at(std::int64_t position) const {
  const auto size = static_cast<std::uint64_t>(size_);
  const auto at = static_cast<std::uint64_t>(position);
  if (!shuffled_) return static_cast<std::int64_t>(at % size);
  std::uint64_t sample = permute(at % size, at / size);
  while (sample >= size) sample = permute(sample, at / size);
  return static_cast<std::int64_t>(sample);
}

std::uint64_t SampleOrder::permute(std::uint64_t value, std::uint64_t epoch) const {
  const std::uint32_t mask = (std::uint32_t{1} << half_bits_) - 1;
  auto left = static_cast<std::uint32_t>(value >> half_bits_);
  auto right = static_cast<std::uint32_t>(value) & mask;
  const PhiloxKey key = {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)};
  for (std::uint32_t round = 0; round < kRounds; ++round) {
    // One key per epoch: the stream's tag is folded into the round number.
    const PhiloxBlock random = philox4x32(
        {right, kStream + round, static_cast<std::uint32_t>(epoch), static_cast<std::uint32_t>(epoch >> 32)}, key);
    const std::uint32_t mixed = left ^ (random[0] & mask);
    left = right;
    right = mixed;
  }
  return (static_cast<std::uint64_t>(left) << half_bits_) | right;
}

}  // namespace dml
