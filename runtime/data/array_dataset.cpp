// Samples out of safetensors: one array per input with all samples in it, or one per input and batch ("given batches",
// as in the training fixtures), which are used in turn and never shuffled.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "kernels/error.h"
#include "runtime/data/open.h"
#include "runtime/data/safetensors.h"

namespace dml {
namespace {

constexpr std::int64_t kNotCounted = -100;

/// One input or the label: equally many rows in every part.
struct Column {
  BatchField field;
  DataType stored = DataType::f32;
  std::vector<const std::byte*> parts;
  std::int64_t rows_per_part = 0;

  std::int64_t row_elements() const { return field.sample_shape.num_elements(); }
  const std::byte* row(std::int64_t id) const {
    const std::int64_t bytes = row_elements() * static_cast<std::int64_t>(size_of(stored));
    return parts[static_cast<std::size_t>(id / rows_per_part)] + id % rows_per_part * bytes;
  }
};

template <typename Out, typename In>
void convert(void* out, const std::byte* in, std::int64_t count) {
  auto* to = static_cast<Out*>(out);
  for (std::int64_t i = 0; i < count; ++i, in += sizeof(In)) {
    In value;
    std::memcpy(&value, in, sizeof value);
    to[i] = static_cast<Out>(value);
  }
}

using Converter = void (*)(void* out, const std::byte* in, std::int64_t count);

/// Null where a stored type cannot feed a field of that type. Nothing is scaled, and no integer becomes a float.
Converter converter(DataType to, DataType from) {
  using enum DataType;
  if (to == f32 && from == f32) return convert<float, float>;
  if (to == f32 && from == f64) return convert<float, double>;
  if (to == i64 && from == i64) return convert<std::int64_t, std::int64_t>;
  if (to == i64 && from == i32) return convert<std::int64_t, std::int32_t>;
  if (to == i64 && from == u8) return convert<std::int64_t, std::uint8_t>;
  if (to == i32 && from == i64) return convert<std::int32_t, std::int64_t>;
  if (to == i32 && from == i32) return convert<std::int32_t, std::int32_t>;
  if (to == i32 && from == u8) return convert<std::int32_t, std::uint8_t>;
  if (to == u8 && from == u8) return convert<std::uint8_t, std::uint8_t>;
  if (to == boolean && (from == boolean || from == u8)) return convert<bool, std::uint8_t>;
  if (to == f64 && from == f64) return convert<double, double>;
  return nullptr;
}

struct Columns {
  std::vector<Column> inputs;
  std::optional<Column> label;
  std::int64_t rows = 0;
};

class ArrayDataset final : public Dataset {
 public:
  ArrayDataset(Description description, SafetensorsFile file, Columns&& columns)
      : Dataset(std::move(description)), file_(std::move(file)), columns_(std::move(columns.inputs)) {
    if (columns.label) columns_.push_back(*std::move(columns.label));
    for (const Column& column : columns_) converters_.push_back(converter(column.field.dtype, column.stored));
  }

 private:
  void read_field(std::span<const std::int64_t> ids, int field, void* out) const override {
    const Column& column = columns_[static_cast<std::size_t>(field)];
    const std::int64_t elements = column.row_elements();
    auto* to = static_cast<std::byte*>(out);
    for (const std::int64_t id : ids) {
      converters_[static_cast<std::size_t>(field)](to, column.row(id), elements);
      to += elements * static_cast<std::int64_t>(size_of(column.field.dtype));
    }
  }

  std::int64_t count_targets(std::span<const std::int64_t> ids) const override {
    const Column& column = columns_.back();
    const std::int64_t elements = column.row_elements();
    if (column.field.dtype != DataType::i64) return static_cast<std::int64_t>(ids.size()) * elements;
    std::int64_t counted = 0;
    for (const std::int64_t id : ids) {
      for (std::int64_t i = 0; i < elements; ++i) {
        std::int64_t value = 0;
        converters_.back()(&value, column.row(id) + i * static_cast<std::int64_t>(size_of(column.stored)), 1);
        counted += value != kNotCounted;
      }
    }
    return counted;
  }

  SafetensorsFile file_;  ///< keeps the rows mapped
  std::vector<Column> columns_;
  std::vector<Converter> converters_;
};

/// Collects one column out of its tensors: one, or one per given batch.
Column gather(const SafetensorsFile& file, const std::vector<std::string>& names, const BatchField& field) {
  Column column;
  column.field = field;
  Shape shape;
  for (const std::string& name : names) {
    const TensorView view = file.find(name);
    if (!view) {
      throw ModelError(
          fmt::format("{} has no tensor {}, which the model's input {} needs", file.path(), name, field.name));
    }
    if (view.shape.rank() < 1)
      throw ModelError(fmt::format("{}: {} is a scalar, its first dim must be the samples", file.path(), name));
    if (column.parts.empty()) {
      shape = view.shape;
      column.stored = view.dtype;
    } else if (!(view.shape == shape) || view.dtype != column.stored) {
      throw ModelError(fmt::format("{}: {} is {} of {}, {} is {} of {}: all given batches must be alike", file.path(),
                                   name, name_of(view.dtype), view.shape.to_string(), names[0], name_of(column.stored),
                                   shape.to_string()));
    }
    column.parts.push_back(static_cast<const std::byte*>(view.data));
  }
  column.rows_per_part = shape[0];
  column.field.sample_shape = Shape(std::span<const std::int64_t>(shape.begin() + 1, shape.end()));
  return column;
}

void check_input(const SafetensorsFile& file, const Column& column, const ModelInputs::Input& input) {
  const Shape& sample = column.field.sample_shape;
  bool fits = input.shape.rank() == sample.rank() + 1;
  for (int dim = 0; fits && dim < sample.rank(); ++dim)
    fits = input.shape[dim + 1] < 0 || input.shape[dim + 1] == sample[dim];
  if (!fits) {
    throw ModelError(fmt::format("{}: {} has samples of shape {}, the model's input has shape {} (batch first)",
                                 file.path(), input.name, sample.to_string(), input.shape.to_string()));
  }
  if (converter(input.dtype, column.stored) == nullptr) {
    throw ModelError(fmt::format("{}: {} is {}, the model's input is {}", file.path(), input.name,
                                 name_of(column.stored), name_of(input.dtype)));
  }
}

/// Compares every value of an integer column with what the model knows; returns the largest. `what` is for the message.
std::int64_t check_values(const SafetensorsFile& file, const Column& column, std::int64_t limit, bool is_label) {
  const Converter read = converter(DataType::i64, column.stored);
  const auto size = static_cast<std::int64_t>(size_of(column.stored));
  const std::int64_t rows = column.rows_per_part * static_cast<std::int64_t>(column.parts.size());
  const std::int64_t lowest = is_label ? 0 : -limit;  // a negative token counts from the end
  std::int64_t largest = -1;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = 0; i < column.row_elements(); ++i) {
      std::int64_t value = 0;
      read(&value, column.row(row) + i * size, 1);
      largest = std::max(largest, value);
      if (is_label && value == kNotCounted) continue;
      if (value >= lowest && (limit == 0 || value < limit)) continue;
      throw ModelError(
          fmt::format("{}: {} {} of sample {} is out of range{}", file.path(), is_label ? "label" : "token", value, row,
                      limit > 0 ? fmt::format(" for {} {}", limit, is_label ? "classes" : "entries") : ""));
    }
  }
  return largest;
}

bool is_integer(DataType dtype) { return dtype == DataType::i64 || dtype == DataType::i32 || dtype == DataType::u8; }

Columns gather_columns(const SafetensorsFile& file, const ModelInputs& model, std::int64_t num_batches) {
  const auto names = [&](const std::string& plain, const std::string& in_batch) {
    if (num_batches == 0) return std::vector{plain};
    std::vector<std::string> all;
    for (std::int64_t k = 0; k < num_batches; ++k) all.push_back(fmt::format("step{}.{}", k, in_batch));
    return all;
  };
  Columns columns;
  for (const auto& input : model.inputs) {
    columns.inputs.push_back(gather(file, names(input.name, "input." + input.name), {input.name, input.dtype, {}}));
    check_input(file, columns.inputs.back(), input);
  }
  if (const auto label_names = names("label", "label"); file.find(label_names[0])) {
    Column label = gather(file, label_names, {"label", DataType::i64, {}});
    if (!is_integer(label.stored)) label.field.dtype = DataType::f32;
    if (converter(label.field.dtype, label.stored) == nullptr) {
      throw ModelError(
          fmt::format("{}: label is {}, known are f32, f64, i64, i32, u8", file.path(), name_of(label.stored)));
    }
    columns.label = std::move(label);
  }
  const std::int64_t rows = columns.inputs[0].rows_per_part;
  const auto check_rows = [&](const Column& column) {
    if (column.rows_per_part == rows) return;
    throw ModelError(fmt::format("{}: {} has {} samples, {} has {}", file.path(), column.field.name,
                                 column.rows_per_part, columns.inputs[0].field.name, rows));
  };
  for (const Column& column : columns.inputs) check_rows(column);
  if (columns.label) check_rows(*columns.label);
  columns.rows = rows * std::max<std::int64_t>(num_batches, 1);
  return columns;
}

std::int64_t count_batches(const SafetensorsFile& file, const std::string& input) {
  std::int64_t count = 0;
  while (file.find(fmt::format("step{}.input.{}", count, input))) ++count;
  return count;
}

/// Given batches are all trained on, as many whole ones as the limit allows.
SampleRange select_batches(const Columns& columns, const OpenRequest& request) {
  const std::int64_t batch = columns.inputs[0].rows_per_part;
  if (request.validation && !request.whole) {
    throw ModelError(fmt::format("{} gives its batches, none is kept for validation: give --val", request.source));
  }
  if (columns.rows < 1) throw ModelError(fmt::format("{} holds no sample", request.source));
  if (request.limit == 0) return {0, columns.rows};
  if (request.limit < batch) {
    throw ModelError(fmt::format("{} gives batches of {} samples, more than the {} of --samples", request.source, batch,
                                 request.limit));
  }
  return {0, std::min(columns.rows, request.limit / batch * batch)};
}

}  // namespace

std::unique_ptr<Dataset> open_arrays(const std::string& path, const OpenRequest& request) {
  SafetensorsFile file(path);
  const ModelInputs& model = *request.model;
  const std::int64_t num_batches = count_batches(file, model.inputs[0].name);
  Columns columns = gather_columns(file, model, num_batches);
  const bool given = num_batches > 0;
  const SampleRange range = given ? select_batches(columns, request) : select_samples(columns.rows, request);
  const std::int64_t batch = given ? columns.inputs[0].rows_per_part : 0;

  for (const Column& column : columns.inputs) {
    if (model.vocabulary > 0 && is_integer(column.stored)) check_values(file, column, model.vocabulary, false);
  }
  std::int64_t num_classes = 0;
  std::int64_t tokens = 0;
  if (columns.label && columns.label->field.dtype == DataType::i64) {
    num_classes = check_values(file, *columns.label, model.num_classes, true) + 1;
    if (columns.label->field.sample_shape.rank() > 0) tokens = columns.label->row_elements();
  }
  std::vector<BatchField> fields;
  for (const Column& column : columns.inputs) fields.push_back(column.field);
  return std::make_unique<ArrayDataset>(
      ArrayDataset({.inputs = std::move(fields),
                    .label = columns.label ? columns.label->field : BatchField{},
                    .range = range,
                    .shuffled = request.shuffle && !given,
                    .seed = request.seed,
                    .given_batch_size = batch,
                    .tokens_per_sample = tokens,
                    .num_classes = num_classes,
                    .text = given ? fmt::format("{}, {} given batches of {}", path, range.count / batch, batch)
                                  : fmt::format("{}, {} samples", path, range.count)},
                   std::move(file), std::move(columns)));
}

}  // namespace dml
