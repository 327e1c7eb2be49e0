// Data sets: numbered samples, the order in which batches take them, and their bytes. Every rank opens the same source
// and asks for the samples that it needs; nothing here knows a rank.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/tensor.h"
#include "runtime/config.h"
#include "runtime/data/sample_order.h"

namespace dml {

/// An input of the model, or its label, as a batch feeds it.
struct BatchField {
  std::string name;
  DataType dtype = DataType::f32;
  Shape sample_shape;  ///< without the batch dim
};

/// What a data set must fit. Of every input the first dim is the batch; an extent of -1 is not known yet.
struct ModelInputs {
  struct Input {
    std::string name;
    DataType dtype = DataType::f32;
    Shape shape;
  };
  std::vector<Input> inputs;
  std::int64_t num_classes = 0;  ///< extent of the logits' last dim; 0: no classes, or not known
  std::int64_t vocabulary = 0;   ///< rows of the table that token inputs look up; 0: not known
};

/// Samples first, first + 1, ... of a source.
struct SampleRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

/// See the head of this file. Reads are copies out of mapped memory; after opening nothing is allocated.
class Dataset {
 public:
  virtual ~Dataset() = default;

  /// In one epoch.
  std::int64_t num_samples() const { return range_.count; }
  /// In the model's order, with every extent known.
  std::span<const BatchField> inputs() const { return inputs_; }
  /// Integer labels are i64. Without a name where the source has no label (the graph computes its own loss).
  const BatchField& label() const { return label_; }
  /// True if the source fixes which samples form a batch; given_batch_size() of them then.
  bool is_given_batches() const { return given_batch_size_ > 0; }
  std::int64_t given_batch_size() const { return given_batch_size_; }
  /// Labels of one sample where samples are sequences, else 0.
  std::int64_t tokens_per_sample() const { return tokens_per_sample_; }
  /// Classes that labels name, as far as the source tells; 0: not known.
  std::int64_t num_classes() const { return num_classes_; }
  /// What a person wants to know of it in half a line: "text kjv.txt, 8904 sequences of 64".
  const std::string& description() const { return description_; }

  /// Sample ids of global batch `step` of `batch` samples, or of a part of it: positions step·batch + first and on in
  /// the epoch's order, as many as `ids` holds. A batch may cross epochs. Throws std::invalid_argument where the part
  /// leaves the batch, or `batch` is not the size of given batches.
  void batch_ids(std::int64_t step, std::int64_t batch, std::span<std::int64_t> ids, std::int64_t first = 0) const;

  /// Copies field `field` (an index into inputs(), or their number for the label) of the samples into `out`, row after
  /// row. Throws ModelError for a token outside the vocabulary, std::invalid_argument for an id or field out of range.
  void read(std::span<const std::int64_t> ids, int field, void* out) const;

  /// Labels that the loss counts: all but -100; without a label, the samples.
  std::int64_t counted_targets(std::span<const std::int64_t> ids) const;

 protected:
  struct Description {
    std::vector<BatchField> inputs;
    BatchField label;
    SampleRange range;
    bool shuffled = false;
    std::uint64_t seed = 0;
    std::int64_t given_batch_size = 0;
    std::int64_t tokens_per_sample = 0;
    std::int64_t num_classes = 0;
    std::string text;
  };
  explicit Dataset(Description description);

 private:
  virtual void read_field(std::span<const std::int64_t> ids, int field, void* out) const = 0;
  virtual std::int64_t count_targets(std::span<const std::int64_t> ids) const = 0;
  void check_ids(std::span<const std::int64_t> ids) const;

  std::vector<BatchField> inputs_;
  BatchField label_;
  SampleRange range_;
  SampleOrder order_;
  std::int64_t given_batch_size_;
  std::int64_t tokens_per_sample_;
  std::int64_t num_classes_;
  std::string description_;
};

/// Opens config.source, or what validates: config.validation, else the last tenth of the source, which training then
/// leaves out (given batches are all trained on). config.samples limits training. Validation is never shuffled.
/// Sources:
///   text:FILE, FILE.txt        bytes as tokens: sample i is bytes iT to iT+T, its labels the bytes that follow each
///   builtin:text               the same over the built-in English text
///   FILE.bin                   tokens (uint16, or llm.c's header with uint16 or uint32); CIFAR-10 if the model takes
///   images idx:IMAGES[,LABELS]        MNIST's format; the labels are found by the usual naming cifar10:FILE[,FILE...]
///   CIFAR-10 binary; a folder means its data_batch_*.bin builtin:digits             1797 images of 8x8
///   FILE.safetensors           arrays named as the inputs and "label", or given batches step{k}.input.NAME,
///   step{k}.label
/// Pixels become [0, 1]; an image takes the shape of the model's input where the element counts agree.
/// Throws IoError for what cannot be read or is truncated, ModelError for what does not fit the model.
std::unique_ptr<Dataset> open_dataset(const DataConfig& config, const ModelInputs& model, std::uint64_t seed,
                                      bool validation = false);

}  // namespace dml
