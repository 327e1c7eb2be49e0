// Files of exported models: written beside and renamed, so that none is ever half there.
#pragma once

#include <string>

#include "models/zoo/model_builder.h"

namespace dml {

/// Writes the initial weights to `model_path`.data and makes the initializers refer to it. Throws IoError, also before
/// anything is written where the disk is too small.
void write_external_weights(ZooModel& model, const std::string& model_path, std::uint64_t seed);

/// Throws IoError.
void write_file(const std::string& path, const std::string& bytes);

}  // namespace dml
