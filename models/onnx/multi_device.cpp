#include "models/onnx/multi_device.h"

#include <onnx/multi_device.pb.h>
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/error.h"
#include "models/onnx/content.h"
#include "models/onnx/later_fields.h"
#include "models/onnx/multi_device_proto.h"

namespace dml {
namespace {

constexpr std::int64_t kMultiDeviceIr = 11;
constexpr const char* kPartialKey = "dmltrain.partial";

std::string node_name(const onnx::NodeProto& node) {
  return node.name().empty() && node.output_size() > 0 ? node.output(0) : node.name();
}

[[noreturn]] void fail_at(const std::string& node, const std::string& what) {
  throw ModelError("device annotations of node " + in_quotes(node) + ": " + what);
}

/// Tensors that are addends: configuration -> first output of a node -> names.
using PartialTable = std::map<std::string, std::map<std::string, std::vector<std::string>>>;

PartialTable partial_table(const onnx::ModelProto& proto) {
  for (const auto& entry : proto.metadata_props()) {
    if (entry.key() != kPartialKey) continue;
    try {
      return nlohmann::json::parse(entry.value()).get<PartialTable>();
    } catch (const nlohmann::json::exception&) {
      throw ModelError(std::string("metadata ") + kPartialKey + " is damaged: it is no JSON of the expected form");
    }
  }
  return {};
}

DeviceConfiguration configuration_of(const std::string& bytes) {
  multi_device::DeviceConfiguration message;
  if (!message.ParseFromString(bytes) || message.name().empty())
    throw ModelError("a device configuration is damaged: it has no name");
  DeviceConfiguration result{message.name(), message.num_devices(), {message.device().begin(), message.device().end()}};
  if (result.num_devices < 1 ||
      (!result.devices.empty() && static_cast<int>(result.devices.size()) != result.num_devices)) {
    throw ModelError("device configuration " + in_quotes(result.name) + " has " + std::to_string(result.num_devices) +
                     " devices and " + std::to_string(result.devices.size()) + " device names");
  }
  return result;
}

TensorPlacement placement_of_spec(const multi_device::ShardingSpec& spec) {
  TensorPlacement placement;
  placement.tensor = spec.tensor_name();
  std::map<std::int64_t, std::vector<std::int64_t>> groups;
  for (const auto& group : spec.index_to_device_group_map())
    groups[group.key()] = {group.value().begin(), group.value().end()};
  for (const std::int64_t device : spec.device()) {
    const auto group = groups.find(device);
    placement.devices.push_back(group != groups.end() ? group->second : std::vector<std::int64_t>{device});
  }
  for (const auto& dim : spec.sharded_dim()) {
    ShardedDim& sharded = placement.dims.emplace_back(ShardedDim{dim.axis(), {}});
    for (const auto& block : dim.simple_sharding()) sharded.blocks.push_back({block.dim_value(), block.num_shards()});
  }
  return placement;
}

void check_spec(const TensorPlacement& placement, const PlacedNode& node, int num_devices) {
  const auto is_in = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), placement.tensor) != names.end();
  };
  if (placement.tensor.empty() || (!is_in(node.inputs) && !is_in(node.outputs)))
    fail_at(node.name, "there is no input or output " + in_quotes(placement.tensor));
  for (const auto& group : placement.devices) {
    for (const std::int64_t device : group) {
      if (device >= 0 && device < num_devices) continue;
      fail_at(node.name, "device " + std::to_string(device) + " of " + in_quotes(placement.tensor) + "; there are " +
                             std::to_string(num_devices));
    }
  }
  for (const ShardedDim& dim : placement.dims) {
    for (const SimpleSharding& block : dim.blocks) {
      if (block.shards >= 1 && block.extent >= 0) continue;
      fail_at(node.name, in_quotes(placement.tensor) + " has " + std::to_string(block.shards) + " shards of " +
                             std::to_string(block.extent) + " units");
    }
  }
}

NodePlacement placement_of_node(const std::string& bytes, const PlacedNode& node,
                                const std::vector<DeviceConfiguration>& configurations) {
  multi_device::NodeDeviceConfiguration message;
  if (!message.ParseFromString(bytes)) fail_at(node.name, "they are damaged");
  const auto configuration =
      std::find_if(configurations.begin(), configurations.end(),
                   [&](const DeviceConfiguration& c) { return c.name == message.configuration_id(); });
  if (configuration == configurations.end())
    fail_at(node.name, "the model has no device configuration " + in_quotes(message.configuration_id()));
  NodePlacement placement{configuration->name, std::nullopt, {}};
  if (message.has_pipeline_stage()) placement.stage = message.pipeline_stage();
  for (const auto& spec : message.sharding_spec()) {
    placement.tensors.push_back(placement_of_spec(spec));
    check_spec(placement.tensors.back(), node, configuration->num_devices);
  }
  return placement;
}

multi_device::ShardingSpec spec_of(const TensorPlacement& placement) {
  multi_device::ShardingSpec spec;
  spec.set_tensor_name(placement.tensor);
  for (std::size_t shard = 0; shard < placement.devices.size(); ++shard) {
    const std::vector<std::int64_t>& devices = placement.devices[shard];
    if (devices.size() == 1) {
      spec.add_device(devices[0]);
      continue;
    }
    auto& group = *spec.add_index_to_device_group_map();
    group.set_key(-1 - static_cast<std::int64_t>(shard));
    group.mutable_value()->Add(devices.begin(), devices.end());
    spec.add_device(group.key());
  }
  for (const ShardedDim& dim : placement.dims) {
    auto& sharded = *spec.add_sharded_dim();
    sharded.set_axis(dim.axis);
    for (const SimpleSharding& block : dim.blocks) {
      auto& simple = *sharded.add_simple_sharding();
      if (block.extent > 0) simple.set_dim_value(block.extent);
      simple.set_num_shards(block.shards);
    }
  }
  return spec;
}

multi_device::NodeDeviceConfiguration message_of(const NodePlacement& placement) {
  multi_device::NodeDeviceConfiguration message;
  message.set_configuration_id(placement.configuration);
  if (placement.stage) message.set_pipeline_stage(*placement.stage);
  for (const TensorPlacement& tensor : placement.tensors) {
    if (!tensor.is_partial) *message.add_sharding_spec() = spec_of(tensor);
  }
  return message;
}

void write_configurations(onnx::ModelProto& proto, const std::vector<DeviceConfiguration>& configurations) {
  clear_messages<ConfigurationField>(proto);
  for (const DeviceConfiguration& configuration : configurations) {
    multi_device::DeviceConfiguration message;
    message.set_name(configuration.name);
    message.set_num_devices(configuration.num_devices);
    for (const std::string& device : configuration.devices) message.add_device(device);
    add_message<ConfigurationField>(proto, message);
  }
}

void write_partials(onnx::ModelProto& proto, const PartialTable& partials) {
  auto& entries = *proto.mutable_metadata_props();
  for (int i = entries.size() - 1; i >= 0; --i) {
    if (entries[i].key() == kPartialKey) entries.DeleteSubrange(i, 1);
  }
  if (partials.empty()) return;
  auto& entry = *entries.Add();
  entry.set_key(kPartialKey);
  entry.set_value(nlohmann::json(partials).dump());
}

}  // namespace

DevicePlan read_device_plan(const onnx::ModelProto& proto) {
  DevicePlan plan;
  std::set<std::string> names;
  for (const std::string& bytes : messages_of<ConfigurationField>(proto)) {
    plan.configurations.push_back(configuration_of(bytes));
    if (!names.insert(plan.configurations.back().name).second)
      throw ModelError("there are two device configurations " + in_quotes(plan.configurations.back().name));
  }
  const PartialTable partials = partial_table(proto);
  for (const onnx::NodeProto& message : proto.graph().node()) {
    PlacedNode& node = plan.nodes.emplace_back(PlacedNode{node_name(message),
                                                          {message.input().begin(), message.input().end()},
                                                          {message.output().begin(), message.output().end()},
                                                          {}});
    for (const std::string& bytes : messages_of<NodeConfigurationField>(message)) {
      NodePlacement& placement = node.placements.emplace_back(placement_of_node(bytes, node, plan.configurations));
      const auto by_node = partials.find(placement.configuration);
      if (by_node == partials.end() || node.outputs.empty()) continue;
      const auto tensors = by_node->second.find(node.outputs[0]);
      if (tensors == by_node->second.end()) continue;
      for (const std::string& tensor : tensors->second) placement.tensors.push_back({tensor, {}, {}, true});
    }
  }
  return plan;
}

void write_device_plan(onnx::ModelProto& proto, const DevicePlan& plan) {
  DML_ASSERT(proto.graph().node_size() == static_cast<int>(plan.nodes.size()), "the plan is of another model");
  proto.set_ir_version(std::max<std::int64_t>(proto.ir_version(), kMultiDeviceIr));
  write_configurations(proto, plan.configurations);
  PartialTable partials;
  for (int i = 0; i < proto.graph().node_size(); ++i) {
    onnx::NodeProto& message = *proto.mutable_graph()->mutable_node(i);
    clear_messages<NodeConfigurationField>(message);
    for (const NodePlacement& placement : plan.nodes[static_cast<std::size_t>(i)].placements) {
      add_message<NodeConfigurationField>(message, message_of(placement));
      for (const TensorPlacement& tensor : placement.tensors) {
        if (tensor.is_partial) partials[placement.configuration][message.output(0)].push_back(tensor.tensor);
      }
    }
  }
  write_partials(proto, partials);
}

}  // namespace dml
