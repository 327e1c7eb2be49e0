// How a training step trades time for memory: what is computed again, what the replicas share, and in which type. A
// value; the default is a step that does none of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "models/graph.h"

namespace dml {

/// What a backward pass computes again instead of reading it (Korthikanti et al. 2022, sections 4 and 5).
/// - attention: what is as large as queries times keys, between the two products of attention.
/// - full: all of a layer but what other layers read.
enum class Recompute : std::uint8_t { none, attention, full };
inline constexpr Recompute kRecomputations[] = {Recompute::none, Recompute::attention, Recompute::full};
std::string_view name_of(Recompute recompute);

struct Techniques {
  static constexpr int kMostZero = 3;

  Recompute recompute = Recompute::none;
  /// What tensor ranks would all compute alike, each computes for its part of the tokens.
  bool sequence_parallel = false;
  /// What replicas divide among each other (Rajbhandari et al. 2020): from 1 on optimizer states, from 2 on gradients
  /// too, from 3 on parameters too.
  int zero = 0;
  /// Of activations and weights. Gradients are summed in f32; beside bf16 weights the optimizer keeps f32 ones.
  DataType dtype = DataType::f32;

  bool shares_states() const { return zero >= 1; }
  bool shares_gradients() const { return zero >= 2; }
  bool shares_parameters() const { return zero >= 3; }
  bool operator==(const Techniques&) const = default;
  /// As the command line takes them: "--recompute full --zero 1"; empty for the default.
  std::string to_options() const;
};

/// Bytes of a rank for its weights.
struct WeightBytes {
  double parameters = 0;
  double gradients = 0;
  double optimizer_states = 0;
  double total() const { return parameters + gradients + optimizer_states; }
};

/// `elems` weights of a rank that shares them with `replicas` - 1 others; the optimizer keeps `states` f32 values for
/// each. What ZeRO gathers for a pass is not counted.
WeightBytes weight_bytes(const Techniques& techniques, double elems, int replicas, int states);

/// The same with what ZeRO has whole for a while: a bucket of gradients, and of weights one in use and one on its way.
/// `bucket_elems`: of the largest bucket.
WeightBytes held_weight_bytes(const Techniques& techniques, double elems, double bucket_elems, int replicas,
                              int states);

/// A training graph with what is recomputed (recomputation.h), and with its f32 activations and weights as `dtype`; the
/// loss stays f32.
Graph with_techniques(Graph graph, const Techniques& techniques);

}  // namespace dml
