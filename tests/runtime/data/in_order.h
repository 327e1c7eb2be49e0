#pragma once

#include <memory>
#include <string>

#include "kernels/error.h"
#include "runtime/data/dataset.h"
#include "tests/runtime/data/temporary_folder.h"

namespace dml {

/// The samples as they stand in the source.
inline std::unique_ptr<Dataset> open_in_order(const std::string& source, const ModelInputs& inputs) {
  DataConfig config;
  config.source = source;
  config.shuffle = false;
  return open_dataset(config, inputs, 0);
}

inline std::string error_for(const std::string& source, const ModelInputs& inputs) {
  return error_of<Error>([&] { open_in_order(source, inputs); });
}

}  // namespace dml
