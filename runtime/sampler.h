// A text that the trained model writes, byte by byte: for people, at the end of a run.
#pragma once

#include <string>

#include "runtime/model/model_source.h"
#include "runtime/program/rank_state.h"

namespace dml {

/// Whether the model predicts the next byte: one integer input [batch, T], logits [batch, T, 256], text as data.
bool writes_text(const ModelSource& model, const Dataset& data);

/// Continues `prompt` by `num_bytes`. Gathers the weights to rank 0, which runs the model alone; collective, the text
/// is returned on rank 0. Bytes are drawn from the predicted distribution, sharpened by a temperature of 0.7, by a
/// generator of the seed: the same run writes the same text.
std::string write_text(const ModelSource& model, RankState& trained, const std::string& prompt, int num_bytes,
                       std::uint64_t seed);

}  // namespace dml
