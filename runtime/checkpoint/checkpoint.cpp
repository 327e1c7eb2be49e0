#include "runtime/checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "kernels/error.h"
#include "runtime/model/gather.h"

namespace dml {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "dmltrain checkpoint 1";
constexpr std::string_view kPrefix = "step_";
constexpr std::string_view kSuffix = ".safetensors";
constexpr std::size_t kKept = 2;  ///< the newest, and one in case that is damaged

struct Buffer {
  FlatBuffer buffer;
  const char* prefix;
};

/// The flat buffers that outlive a step.
std::vector<Buffer> lasting_buffers(const RankState& state) {
  std::vector<Buffer> buffers = {{FlatBuffer::parameters, "weight."}};
  if (state.num_moments() > 0) buffers.push_back({FlatBuffer::moment1, "moment1."});
  if (state.num_moments() > 1) buffers.push_back({FlatBuffer::moment2, "moment2."});
  return buffers;
}

bool is_checkpoint(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with(kPrefix) && name.ends_with(kSuffix);
}

/// The newest first: the names have steps of one width. None where there is no such folder; IoError where it may not be
/// read, as a run that began anew would overwrite what is there.
std::vector<fs::path> checkpoints_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (is_checkpoint(entry.path())) found.push_back(entry.path());
  }
  const bool is_absent = error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
  if (error && !is_absent) throw IoError(fmt::format("{}: cannot be read: {}", folder.string(), error.message()));
  std::sort(found.rbegin(), found.rend());
  return found;
}

FoundCheckpoint open_checkpoint(const fs::path& path) {
  FoundCheckpoint found{SafetensorsFile(path.string()), 0, {}};
  const auto& metadata = found.file.metadata();
  const auto format = metadata.find("format");
  const auto steps = metadata.find("steps");
  if (format == metadata.end() || format->second != kFormat || steps == metadata.end()) {
    throw IoError(fmt::format("{}: this is no checkpoint: its metadata lacks format '{}'", path.string(), kFormat));
  }
  try {
    found.steps = std::stoll(steps->second);
  } catch (const std::exception&) {
    found.steps = -1;
  }
  if (found.steps < 0) throw IoError(fmt::format("{}: 'steps' is '{}'", path.string(), steps->second));
  return found;
}

SafetensorsMetadata metadata_of(const TrainingIdentity& identity, std::int64_t steps) {
  return {{"format", kFormat},     {"steps", std::to_string(steps)},          {"optimizer", identity.optimizer},
          {"data", identity.data}, {"batch", std::to_string(identity.batch)}, {"seed", std::to_string(identity.seed)}};
}

void check_identity(const FoundCheckpoint& checkpoint, const TrainingIdentity& identity) {
  const SafetensorsMetadata wanted = metadata_of(identity, checkpoint.steps);
  const SafetensorsMetadata& stored = checkpoint.file.metadata();
  for (const char* key : {"optimizer", "batch", "seed", "data"}) {
    const auto found = stored.find(key);
    if (found != stored.end() && found->second == wanted.at(key)) continue;
    throw ModelError(fmt::format("{}: written with {} {}, now {}: a training goes on as it began",
                                 checkpoint.file.path(), key, found == stored.end() ? "missing" : found->second,
                                 wanted.at(key)));
  }
}

/// One rank's part of a tensor of the file, to its place in device memory.
void read_part(const SafetensorsFile& file, const std::string& name, const ShardSpec& spec, TensorPlace place,
               Device& device, float* out) {
  const TensorView whole = file.find(name);
  if (!whole) throw ModelError(fmt::format("{}: a checkpoint of another model: it has no '{}'", file.path(), name));
  if (whole.dtype != DataType::f32 || whole.shape != spec.global_shape) {
    throw ModelError(fmt::format("{}: a checkpoint of another model: '{}' is {} {}, the model's f32 {}", file.path(),
                                 name, name_of(whole.dtype), whole.shape.to_string(), spec.global_shape.to_string()));
  }
  const auto* bytes = static_cast<const char*>(whole.data);
  device.write(out, static_cast<std::size_t>(spec.local(place).num_elements()) * sizeof(float), [&](void* host) {
    for (const ShardRun& run : shard_runs(spec.global_shape, spec.sharding, place)) {
      std::memcpy(static_cast<float*>(host) + run.local_begin,
                  bytes + run.global_begin * static_cast<std::int64_t>(sizeof(float)),
                  static_cast<std::size_t>(run.count) * sizeof(float));
    }
  });
}

/// Writes what is gathered, tensor by tensor. After a failure it only listens, as the other ranks go on sending.
class Writer {
 public:
  Writer(const fs::path& path, const RankState& state, SafetensorsMetadata metadata)
      : file_(path.string(), std::move(metadata)) {
    const SplitGraph& split = state.partition().split();
    for (const Buffer& buffer : lasting_buffers(state)) {
      for (const auto& [parameter, gradient] : split.graph.gradient_of) declare(buffer.prefix, split, parameter);
    }
    for (const auto& [id, next] : split.graph.next_state) declare("state.", split, id);
  }

  TensorSink sink(const char* prefix) {
    return [this, prefix](const GatheredTensor& tensor) {
      if (failure_) return;
      try {
        file_.write(prefix + tensor.name, tensor.elements.data());
      } catch (...) {
        failure_ = std::current_exception();
      }
    };
  }

  void close() {
    if (failure_) std::rethrow_exception(failure_);
    file_.close();
  }

 private:
  void declare(const char* prefix, const SplitGraph& split, ValueId id) {
    const ShardSpec& spec = split.shards[static_cast<std::size_t>(id)];
    file_.declare(prefix + spec.name, DataType::f32, spec.global_shape);
  }

  SafetensorsWriter file_;
  std::exception_ptr failure_;
};

void make_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw IoError(fmt::format("{}: the folder cannot be made: {}", folder, error.message()));
}

void remove_old(const std::string& folder) {
  const std::vector<fs::path> found = checkpoints_in(folder);
  std::error_code ignored;  // a file that stays takes room, and harms nothing else
  for (std::size_t i = kKept; i < found.size(); ++i) fs::remove(found[i], ignored);
}

}  // namespace

std::optional<FoundCheckpoint> find_checkpoint(const std::string& where) {
  if (fs::is_regular_file(where)) return open_checkpoint(where);
  std::vector<fs::path> paths = checkpoints_in(where);
  if (paths.empty()) paths = checkpoints_in(fs::path(where) / "checkpoints");
  if (paths.empty()) return std::nullopt;
  std::vector<std::string> notes;
  for (const fs::path& path : paths) {
    try {
      FoundCheckpoint found = open_checkpoint(path);
      found.notes = notes;
      return found;
    } catch (const IoError& error) {
      notes.push_back(fmt::format("{}; the checkpoint before it is used", error.what()));
    }
  }
  throw IoError(fmt::format("--resume {}: none of {} checkpoints can be read; the newest: {}", where, paths.size(),
                            notes.front()));
}

std::string write_checkpoint(const std::string& folder, RankState& state, const TrainingIdentity& identity,
                             std::int64_t steps) {
  const fs::path path = fs::path(folder) / fmt::format("{}{:08}{}", kPrefix, steps, kSuffix);
  std::optional<Writer> writer;
  std::exception_ptr failure;
  if (state.partition().rank == 0) {
    try {
      make_folder(folder);
      writer.emplace(path, state, metadata_of(identity, steps));
    } catch (...) {
      failure = std::current_exception();
    }
  }
  const auto sink = [&](const char* prefix) { return writer ? writer->sink(prefix) : [](const GatheredTensor&) {}; };
  for (const Buffer& buffer : lasting_buffers(state)) gather_tensors(state, buffer.buffer, sink(buffer.prefix));
  gather_states(state, sink("state."));
  if (failure) std::rethrow_exception(failure);
  if (!writer) return "";
  writer->close();
  remove_old(folder);
  return path.string();
}

void read_checkpoint(const FoundCheckpoint& checkpoint, const TrainingIdentity& identity, RankState& state) {
  check_identity(checkpoint, identity);
  const Partition& partition = state.partition();
  const TensorPlace place = partition.place();
  for (const Buffer& buffer : lasting_buffers(state)) {
    for (const Segment& segment : partition.layout.segments) {
      read_part(checkpoint.file, buffer.prefix + segment.spec.name, segment.spec, place, state.device(),
                state.flat(buffer.buffer) + segment.begin);
    }
  }
  for (const auto& [id, view] : state.program().states()) {
    const ShardSpec& spec = partition.split().shards[static_cast<std::size_t>(id)];
    read_part(checkpoint.file, "state." + spec.name, spec, place, state.device(), view.f32());
  }
}

}  // namespace dml
