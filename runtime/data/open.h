// Inside runtime/data: one function per format, each of which returns its data set.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "models/onnx/mapped_file.h"
#include "runtime/data/dataset.h"

namespace dml {

/// What open_dataset was asked, with the choice between training and validation made.
struct OpenRequest {
  std::string source;  ///< as the user wrote it, for messages
  const ModelInputs* model = nullptr;
  std::uint64_t seed = 0;
  bool validation = false;
  bool whole = false;      ///< no tenth is held out of this source
  std::int64_t limit = 0;  ///< samples at most; 0: all
  bool shuffle = true;
};

/// Which of `total` samples the request is about. Throws ModelError where that is none.
SampleRange select_samples(std::int64_t total, const OpenRequest& request);

/// One byte, one token. `owner` keeps the bytes alive and may be null.
std::unique_ptr<Dataset> open_bytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                    const OpenRequest& request);
std::unique_ptr<Dataset> open_tokens(const std::string& path, const OpenRequest& request);
std::unique_ptr<Dataset> open_digits(std::span<const std::byte> bytes, const OpenRequest& request);
/// `paths`: the images, and after a comma the labels where they are not found by name.
std::unique_ptr<Dataset> open_idx(const std::string& paths, const OpenRequest& request);
/// `paths`: files separated by commas, or a folder.
std::unique_ptr<Dataset> open_cifar10(const std::string& paths, const OpenRequest& request);
std::unique_ptr<Dataset> open_arrays(const std::string& path, const OpenRequest& request);

}  // namespace dml
