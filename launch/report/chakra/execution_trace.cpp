#include "launch/report/chakra/execution_trace.h"

#include <et_def.pb.h>
#include <fmt/format.h>
#include <google/protobuf/arena.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/delimited_message_util.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "models/op.h"

namespace dml {
namespace {

namespace chakra = ChakraProtoMsg;

constexpr const char* kSchemaVersion = "0.0.4";

template <typename Message>
chakra::AttributeProto& add_attribute(Message& message, const char* name) {
  chakra::AttributeProto& attribute = *message.add_attr();
  attribute.set_name(name);
  return attribute;
}

chakra::NodeType type_of(TaskKind kind) {
  switch (kind) {
    case TaskKind::load: return chakra::MEM_LOAD_NODE;
    case TaskKind::compute:
    case TaskKind::update: return chakra::COMP_NODE;
    case TaskKind::send: return chakra::COMM_SEND_NODE;
    case TaskKind::receive: return chakra::COMM_RECV_NODE;
    case TaskKind::all_reduce:
    case TaskKind::all_gather:
    case TaskKind::reduce_scatter: return chakra::COMM_COLL_NODE;
  }
  return chakra::INVALID_NODE;
}

chakra::CollectiveCommType collective_type_of(TaskKind kind) {
  if (kind == TaskKind::all_gather) return chakra::ALL_GATHER;
  return kind == TaskKind::reduce_scatter ? chakra::REDUCE_SCATTER : chakra::ALL_REDUCE;
}

class ChakraWriter {
 public:
  ChakraWriter(const Partition& partition, CommGroups& groups) : partition_(partition), groups_(groups) {
    previous_.fill(-1);
  }

  std::string write() {
    google::protobuf::io::StringOutputStream stream(&bytes_);
    google::protobuf::io::CodedOutputStream out(&stream);
    const auto emit = [&](const google::protobuf::Message& message) {
      google::protobuf::util::SerializeDelimitedToCodedStream(message, &out);
    };
    emit(metadata());
    chakra::Node node;
    const std::vector<Task>& tasks = partition_.tasks.tasks;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      node.Clear();
      describe(node, static_cast<int>(i), tasks[i]);
      emit(node);
    }
    out.Trim();
    return std::move(bytes_);
  }

 private:
  chakra::GlobalMetadata metadata() const {
    chakra::GlobalMetadata metadata;
    metadata.set_version(kSchemaVersion);
    add_attribute(metadata, "rank").set_int32_val(partition_.rank);
    add_attribute(metadata, "data_index").set_int32_val(partition_.at.d);
    add_attribute(metadata, "pipeline_index").set_int32_val(partition_.at.p);
    add_attribute(metadata, "tensor_index").set_int32_val(partition_.at.t);
    return metadata;
  }

  void describe(chakra::Node& node, int id, const Task& task) {
    node.set_id(static_cast<std::uint64_t>(id));
    node.set_name(name_of_task(task));
    node.set_type(type_of(task.kind));
    for (const std::int32_t dep : partition_.tasks.deps_of(task)) node.add_data_deps(static_cast<std::uint64_t>(dep));
    int& previous = previous_[static_cast<std::size_t>(task.queue)];
    if (previous >= 0) node.add_ctrl_deps(static_cast<std::uint64_t>(previous));
    previous = id;
    add_attribute(node, "is_cpu_op").set_bool_val(false);
    add_attribute(node, "task").set_string_val(task.id.to_string());
    if (type_of(task.kind) == chakra::COMP_NODE) {
      add_attribute(node, "num_ops").set_int64_val(static_cast<std::int64_t>(partition_.tasks.work_of(task).flops));
      add_attribute(node, "tensor_size")
          .set_uint64_val(static_cast<std::uint64_t>(partition_.tasks.work_of(task).bytes));
    } else {
      describe_communication(node, task);
    }
    if (task.node != kNone) describe_outputs(*node.mutable_outputs(), task);
  }

  void describe_communication(chakra::Node& node, const Task& task) {
    add_attribute(node, "comm_size").set_int64_val(partition_.tasks.work_of(task).bytes);
    if (node.type() == chakra::COMM_COLL_NODE) {
      add_attribute(node, "comm_type").set_int64_val(collective_type_of(task.kind));
      add_attribute(node, "pg_name").set_string_val(std::to_string(groups_.number_of(group_of(task))));
      return;
    }
    const bool sends = task.kind == TaskKind::send;
    add_attribute(node, "comm_src").set_int32_val(sends ? partition_.rank : task.peer);
    add_attribute(node, "comm_dst").set_int32_val(sends ? task.peer : partition_.rank);
    add_attribute(node, "comm_tag").set_int32_val(tag_of(task));
  }

  /// Equal on both sides of a transfer, and of no other between them: by value, pass and microbatch.
  std::int32_t tag_of(const Task& task) const {
    const int pass = 2 * task.id.microbatch + (task.id.phase == Phase::forward ? 0 : 1);
    return pass * partition_.split().graph.num_values() + task.value;
  }

  std::vector<int> group_of(const Task& task) const {
    const Mesh& mesh = partition_.mesh;
    if (task.axis == Axis::world) {
      std::vector<int> ranks(static_cast<std::size_t>(mesh.world_size()));
      for (std::size_t rank = 0; rank < ranks.size(); ++rank) ranks[rank] = static_cast<int>(rank);
      return ranks;
    }
    return task.axis == Axis::pipeline ? tied_group(task) : mesh.group(partition_.rank, task.axis);
  }

  /// The ranks whose stages share the weights of the bucket.
  std::vector<int> tied_group(const Task& task) const {
    std::vector<int> ranks;
    const Work& work = partition_.tasks.work_of(task);
    for (const Bucket& bucket : partition_.layout.buckets) {
      if (bucket.begin != work.begin || bucket.count != work.count) continue;
      for (const int stage : bucket.tied_stages) {
        ranks.push_back(partition_.mesh.rank({partition_.at.d, partition_.placement.position(stage), partition_.at.t}));
      }
    }
    std::sort(ranks.begin(), ranks.end());
    ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
    return ranks;
  }

  std::string name_of_task(const Task& task) const {
    const Graph& graph = partition_.split().graph;
    if (task.node != kNone) return graph.node(task.node).name;
    if (task.value != kNone) return fmt::format("{} {}", name_of(task.kind), graph.value(task.value).name);
    if (task.kind == TaskKind::all_gather) return "weights";
    if (is_collective(task.kind)) return task.axis == Axis::world ? "totals of the step" : "gradients";
    return task.kind == TaskKind::update ? "update of the weights" : "totals of this rank";
  }

  void describe_outputs(chakra::IOInfo& outputs, const Task& task) const {
    const Graph& graph = partition_.by_microbatch[static_cast<std::size_t>(task.id.microbatch)]->graph;
    nlohmann::json values = nlohmann::json::array(), shapes = values, types = values;
    for (const ValueId id : graph.node(task.node).outputs) {
      const Value& value = graph.value(id);
      std::vector<std::int64_t> dims;
      for (int dim = 0; dim < value.shape.rank(); ++dim) dims.push_back(value.shape[dim]);
      values.push_back(value.name);
      shapes.push_back(std::move(dims));
      types.push_back(std::string(name_of(value.dtype)));
    }
    outputs.set_values(values.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    outputs.set_shapes(shapes.dump());
    outputs.set_types(types.dump());
  }

  const Partition& partition_;
  CommGroups& groups_;
  std::array<int, 5> previous_{};  ///< by queue: the node before
  std::string bytes_;
};

}  // namespace

int CommGroups::number_of(const std::vector<int>& ranks) {
  return numbers_.emplace(ranks, static_cast<int>(numbers_.size())).first->second;
}

std::string CommGroups::to_json() const {
  std::vector<const std::vector<int>*> by_number(numbers_.size());
  for (const auto& [ranks, number] : numbers_) by_number[static_cast<std::size_t>(number)] = &ranks;
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (std::size_t number = 0; number < by_number.size(); ++number) json[std::to_string(number)] = *by_number[number];
  return json.dump() + "\n";
}

std::string execution_trace(const Partition& partition, CommGroups& groups) {
  return ChakraWriter(partition, groups).write();
}

}  // namespace dml
