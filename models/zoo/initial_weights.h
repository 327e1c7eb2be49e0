// Initial weights: every element is a function of (seed, parameter name, element index) alone, so that any rank makes
// any slice, and no layout changes what a run starts from.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "models/graph.h"

namespace dml {

/// How a parameter begins.
struct InitialWeights {
  enum class Kind : std::uint8_t { constant, uniform, normal };
  Kind kind = Kind::constant;
  double scale = 0;  ///< the constant; the bound of [-scale, scale); the standard deviation

  static InitialWeights constant(double value) { return {Kind::constant, value}; }
  static InitialWeights uniform(double bound) { return {Kind::uniform, bound}; }
  static InitialWeights normal(double deviation) { return {Kind::normal, deviation}; }
};

/// Elements first, first + 1, ... of the parameter, as many as `out` holds.
void fill_weights(std::span<float> out, const InitialWeights& rule, std::uint64_t seed, const std::string& name,
                  std::int64_t first);

/// A source that computes what is read.
std::shared_ptr<const TensorSource> make_weights(const InitialWeights& rule, std::uint64_t seed,
                                                 const std::string& name, const Shape& shape);

}  // namespace dml
