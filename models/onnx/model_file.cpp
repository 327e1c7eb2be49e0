#include "models/onnx/model_file.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "kernels/error.h"
#include "models/onnx/content.h"
#include "models/onnx/lower/importer.h"
#include "models/onnx/lower/operators.h"
#include "models/onnx/mapped_file.h"
#include "models/onnx/tensor_payload.h"

namespace dml {
namespace {

std::shared_ptr<const OnnxModel> parse_bytes(std::span<const std::byte> bytes, const std::string& name,
                                             const std::string& path) {
  constexpr std::size_t kMostBytes = 0x7fffffff;
  auto proto = std::make_shared<onnx::ModelProto>();
  if (bytes.size() > kMostBytes) throw IoError(in_quotes(name) + " is over 2 GB: keep its weights in external data");
  if (bytes.empty() || !proto->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    throw ModelError(in_quotes(name) + " is not an ONNX model, or is truncated: it cannot be parsed");
  }
  return std::make_shared<const OnnxModel>(make_content(std::move(proto), name, path, {}));
}

/// The names that only --dim can bind.
std::set<std::string> open_dims(const OnnxModel::Content& content) {
  std::set<std::string> names;
  for (const OnnxInput& input : content.inputs) {
    for (const OnnxDim& dim : input.dims) {
      if (!dim.name.empty() && dim.name != content.batch_name) names.insert(dim.name);
    }
  }
  return names;
}

void check_dims(const OnnxModel::Content& content, const BuildOptions& options) {
  const std::set<std::string> open = open_dims(content);
  std::string missing;
  for (const std::string& name : open) {
    if (options.dims.contains(name)) continue;
    missing += (missing.empty() ? "" : ", ") + printable(name);
  }
  if (!missing.empty())
    throw ModelError("symbolic dims without an extent: " + missing + "; give --dim NAME=N for each");
  for (const auto& [name, extent] : options.dims) {
    if (name == content.batch_name) throw ModelError("--dim " + name + ": it is the batch dim, set by --batch");
    if (!open.contains(name)) throw ModelError("--dim " + name + ": the model has no such symbolic dim");
    if (extent < 1) throw ModelError("--dim " + name + "=" + std::to_string(extent) + ": wants at least 1");
  }
}

std::vector<Shape> input_shapes(const OnnxModel::Content& content, const BuildOptions& options, std::int64_t batch) {
  std::vector<Shape> shapes;
  for (const OnnxInput& input : content.inputs) {
    std::vector<std::int64_t> extents;
    for (const OnnxDim& dim : input.dims) {
      const bool is_written_batch = extents.empty() && content.written_batch > 0 && dim.extent == content.written_batch;
      const bool is_batch = dim.name.empty() ? is_written_batch : dim.name == content.batch_name;
      extents.push_back(is_batch ? batch : dim.name.empty() ? dim.extent : options.dims.at(dim.name));
    }
    shapes.push_back(checked_shape(extents, input.name));
  }
  return shapes;
}

/// All that builds at several sizes share.
struct Build {
  const OnnxModel::Content& content;
  const BuildOptions& options;
  RewrittenGraph rewritten;
  ImportPlan plan;

  Graph at(std::int64_t batch, ShapeTable* shapes = nullptr, WrittenBatch* written = nullptr) const {
    const std::vector<Shape> inputs = input_shapes(content, options, batch);
    Importer importer(content, rewritten, plan, inputs, written);
    Graph graph = importer.run();
    if (shapes != nullptr) *shapes = importer.shapes();
    return graph;
  }

  /// At another size than that which is written into the graph.
  Graph freed(std::int64_t written, std::int64_t batch) const {
    ShapeTable reference;
    at(written, &reference);
    WrittenBatch freedom(written, batch, std::move(reference));
    try {
      return at(batch, nullptr, &freedom);
    } catch (const ModelError& error) {
      throw ModelError("batch size " + std::to_string(written) + " is written into the graph and cannot be made " +
                       std::to_string(batch) + ": " + error.what() + "; export it with a symbolic batch dim");
    }
  }
};

/// Sizes that a graph with a symbolic batch may have been traced at: the first extents of written Reshape targets.
std::set<std::int64_t> traced_sizes(const Build& build) {
  constexpr std::size_t kMostTried = 4;
  std::set<std::int64_t> sizes;
  KnownValues known(
      build.content, build.rewritten, build.plan, [](const std::string&) { return nullptr; }, nullptr);
  for (const OnnxNode& node : build.rewritten.nodes) {
    if (node.type() != "Reshape" || !known.is_in_file(node.input(1)) || sizes.size() >= kMostTried) continue;
    const Literal& target = known.literal(node.input(1));
    if (!target.integers.empty() && target.integers[0] > 1) sizes.insert(target.integers[0]);
  }
  return sizes;
}

Graph build_symbolic(const Build& build, std::int64_t batch) {
  try {
    return build.at(batch);
  } catch (const ModelError&) {
    for (const std::int64_t size : traced_sizes(build)) {
      try {
        return build.freed(size, batch);
      } catch (const ModelError&) {
        continue;  // it was not traced at this size: the first error tells more
      }
    }
    throw;
  }
}

Graph build_graph(const OnnxModel::Content& content, const BuildOptions& options) {
  const std::int64_t written = content.written_batch;
  const std::int64_t batch = options.batch != 0 ? options.batch : std::max<std::int64_t>(written, 1);
  if (batch < 1) throw ModelError("batch size " + std::to_string(batch) + "; wants at least 1");
  check_dims(content, options);
  Build build{content, options, rewrite(content, options), {}};
  build.plan = make_plan(content, build.rewritten);
  if (written == 0) return build_symbolic(build, batch);
  return batch == written ? build.at(batch) : build.freed(written, batch);
}

}  // namespace

std::shared_ptr<const OnnxModel> make_model(onnx::ModelProto proto, std::string name, const SourceMap& sources) {
  auto shared = std::make_shared<const onnx::ModelProto>(std::move(proto));
  return std::make_shared<const OnnxModel>(make_content(std::move(shared), std::move(name), "", sources));
}

OnnxModel::OnnxModel(std::unique_ptr<const Content> content) : content_(std::move(content)) {}
OnnxModel::~OnnxModel() = default;

std::shared_ptr<const OnnxModel> OnnxModel::load(const std::string& path) {
  const auto file = MappedFile::open(path);
  return parse_bytes(file->bytes(), path, path);
}

std::shared_ptr<const OnnxModel> OnnxModel::parse(const std::string& bytes, const std::string& name) {
  return parse_bytes(std::as_bytes(std::span(bytes)), name, "");
}

Graph OnnxModel::build(const BuildOptions& options) const {
  try {
    return build_graph(*content_, options);
  } catch (const IoError& error) {
    throw IoError(in_quotes(name()) + ": " + error.what());
  } catch (const ModelError& error) {
    throw ModelError(in_quotes(name()) + ": " + error.what());
  } catch (const std::invalid_argument& error) {
    throw ModelError(in_quotes(name()) + ": " + error.what());
  }
}

const std::string& OnnxModel::name() const { return content_->name; }
const std::string& OnnxModel::producer() const { return content_->producer; }
std::int64_t OnnxModel::opset() const { return content_->opset; }
std::int64_t OnnxModel::ir_version() const { return content_->proto->ir_version(); }
const std::vector<OnnxInput>& OnnxModel::inputs() const { return content_->inputs; }
const std::vector<std::string>& OnnxModel::outputs() const { return content_->outputs; }
const std::vector<OnnxInitializer>& OnnxModel::initializers() const { return content_->initializers; }
std::int64_t OnnxModel::written_batch() const { return content_->written_batch; }

const OnnxInitializer* OnnxModel::find_initializer(const std::string& name) const { return content_->find(name); }

std::vector<OnnxOperation> OnnxModel::operations() const {
  std::map<std::pair<std::string, std::string>, OnnxOperation> found;
  for (const onnx::NodeProto& node : content_->graph().node()) {
    OnnxOperation& operation = found[{node.op_type(), node.domain()}];
    if (operation.count++ > 0) continue;
    operation.type = node.op_type();
    operation.domain = node.domain() == "ai.onnx" ? "" : node.domain();
    operation.is_supported = find_operator(node.op_type(), node.domain()) != nullptr;
    for (const auto& import : content_->proto->opset_import()) {
      if (import.domain() == node.domain()) operation.opset = import.version();
    }
    if (operation.domain.empty()) operation.opset = content_->opset;
  }
  std::vector<OnnxOperation> operations;
  operations.reserve(found.size());
  for (auto& [key, operation] : found) operations.push_back(std::move(operation));
  return operations;
}

}  // namespace dml
