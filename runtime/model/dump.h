// The --dump file: what a run computed, under the names that PyTorch references use.
#pragma once

#include <string>
#include <vector>

#include "runtime/model/gather.h"

namespace dml {

/// Collects tensors on rank 0 and writes them at the end. Every call is collective.
class Dump {
 public:
  explicit Dump(std::string path) : path_(std::move(path)) {}
  /// step0.logits, step0.loss, step0.grad.*, step0.state.*
  void first_step(RankState& state);
  /// final.{optimizer}.*, losses.{optimizer}; writes the file. Throws IoError.
  void finish(RankState& state, const std::string& optimizer, const std::vector<double>& losses);

 private:
  void keep(const std::string& prefix, const GatheredTensor& tensor);
  std::string path_;
  std::vector<GatheredTensor> tensors_;
};

}  // namespace dml
