#include "runtime/model/shard_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/error.h"

namespace dml {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 1;

Json json_of(const ShardSpec& spec) {
  const Sharding& s = spec.sharding;
  return Json::array({spec.global_shape.to_vector(), static_cast<int>(s.kind), s.dim, s.outer, s.units, s.inner});
}

Shape shape_of(const Json& json) {
  const auto extents = json.get<std::vector<std::int64_t>>();
  const bool fits = extents.size() <= Shape::kMaxRank &&
                    std::all_of(extents.begin(), extents.end(), [](std::int64_t extent) { return extent >= -1; });
  if (!fits) throw ModelError("a shape is none");
  return Shape(extents);
}

ShardSpec spec_of(const Json& row, const Value& value) {
  ShardSpec spec{value.name, shape_of(row.at(0)), {}};
  const int kind = row.at(1).get<int>();
  Sharding& s = spec.sharding;
  s = {static_cast<Sharding::Kind>(kind), row.at(2).get<int>(), row.at(3).get<std::int64_t>(),
       row.at(4).get<std::int64_t>(), row.at(5).get<std::int64_t>()};
  const bool is_known = kind >= 0 && kind <= static_cast<int>(Sharding::Kind::partial);
  const bool fits = !s.is_shard() || (s.dim >= 0 && s.dim < spec.global_shape.rank() && s.outer > 0 && s.inner > 0 &&
                                      s.extent() == spec.global_shape[s.dim]);
  if (!is_known || !fits) throw ModelError(fmt::format("the division of '{}' is none", value.name));
  return spec;
}

Json json_of(const ModelInputs& inputs) {
  Json fields = Json::array();
  for (const auto& input : inputs.inputs) {
    fields.push_back({input.name, static_cast<int>(input.dtype), input.shape.to_vector()});
  }
  return {{"fields", fields}, {"num_classes", inputs.num_classes}, {"vocabulary", inputs.vocabulary}};
}

ModelInputs inputs_of(const Json& json) {
  ModelInputs inputs;
  for (const Json& field : json.at("fields")) {
    const int type = field.at(1).get<int>();
    if (type < 0 || type > static_cast<int>(DataType::boolean)) throw ModelError("an input has no known type");
    inputs.inputs.push_back({field.at(0).get<std::string>(), static_cast<DataType>(type), shape_of(field.at(2))});
  }
  inputs.num_classes = json.at("num_classes").get<std::int64_t>();
  inputs.vocabulary = json.at("vocabulary").get<std::int64_t>();
  return inputs;
}

Json json_of(const ModelSummary& summary) {
  return {{"parameters", summary.parameters},
          {"flops_per_sample", summary.flops_per_sample},
          {"fingerprint", summary.fingerprint},
          {"stage_labels", summary.stage_labels}};
}

ModelSummary summary_of(const Json& json) {
  ModelSummary summary;
  summary.parameters = json.at("parameters").get<std::int64_t>();
  summary.flops_per_sample = json.at("flops_per_sample").get<double>();
  summary.fingerprint = json.at("fingerprint").get<std::int64_t>();
  summary.stage_labels = json.at("stage_labels").get<std::vector<std::string>>();
  return summary;
}

ShardTable table_of(const Json& json, const Graph& graph) {
  ShardTable table;
  const int version = json.at("version").get<int>();
  if (version != kVersion) throw ModelError(fmt::format("its version is {}, {} is read", version, kVersion));
  json.at("model").get_to(table.model);
  json.at("d").get_to(table.d);
  json.at("p").get_to(table.p);
  json.at("t").get_to(table.t);
  json.at("order").get_to(table.order);
  json.at("rank").get_to(table.rank);
  json.at("positions").get_to(table.positions);
  table.mode = json.at("mode").get<std::string>() == "gather" ? SplitMode::gather : SplitMode::megatron;
  table.inputs = inputs_of(json.at("inputs"));
  json.at("samples").get_to(table.samples);
  json.at("slopes").get_to(table.scale.slopes);
  json.at("obstacle").get_to(table.scale.obstacle);
  json.at("stages").get_to(table.stages);
  json.at("origin").get_to(table.origin);
  ValueId id = 0;
  for (const Json& row : json.at("shards")) {
    if (id < graph.num_values()) table.shards.push_back(spec_of(row, graph.value(id)));
    ++id;
  }
  if (id != graph.num_values())
    throw ModelError(fmt::format("{} values are divided, there are {}", id, graph.num_values()));
  table.summary = summary_of(json.at("summary"));
  json.at("notes").get_to(table.notes);
  return table;
}

void check(const ShardTable& table, const Graph& graph) {
  const Mesh mesh(table.d, table.p, table.t, table.order);
  const auto num_nodes = static_cast<std::size_t>(graph.num_nodes());
  const auto num_stages = static_cast<int>(table.positions.size());
  const bool counts = table.stages.size() == num_nodes && table.origin.size() == num_nodes && table.samples > 0 &&
                      table.summary.stage_labels.size() == table.positions.size();
  const bool stages = std::all_of(table.stages.begin(), table.stages.end(),
                                  [&](int stage) { return stage >= 0 && stage < num_stages; });
  if (!counts || !stages || table.rank < 0 || table.rank >= mesh.world_size()) {
    throw ModelError("its counts contradict each other");
  }
  const TensorPlace place{mesh.coordinate(table.rank).t, table.t};
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    const Value& value = graph.value(id);
    const bool is_held = value.role == Role::parameter || value.role == Role::state;
    if (is_held && table.shards[static_cast<std::size_t>(id)].local(place) != value.shape) {
      throw ModelError(fmt::format("'{}' is {}, which is not its part", value.name, value.shape.to_string()));
    }
  }
}

}  // namespace

std::string write_table(const ShardTable& table) {
  Json shards = Json::array();
  for (const ShardSpec& spec : table.shards) shards.push_back(json_of(spec));
  return Json{{"version", kVersion},
              {"model", table.model},
              {"d", table.d},
              {"p", table.p},
              {"t", table.t},
              {"order", table.order},
              {"rank", table.rank},
              {"positions", table.positions},
              {"mode", table.mode == SplitMode::gather ? "gather" : "megatron"},
              {"inputs", json_of(table.inputs)},
              {"samples", table.samples},
              {"slopes", table.scale.slopes},
              {"obstacle", table.scale.obstacle},
              {"stages", table.stages},
              {"origin", table.origin},
              {"shards", shards},
              {"summary", json_of(table.summary)},
              {"notes", table.notes}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

ShardTable read_table(const std::string& text, const Graph& graph) {
  try {
    ShardTable table = table_of(Json::parse(text), graph);
    check(table, graph);
    return table;
  } catch (const Json::exception& error) {
    throw ModelError(fmt::format("its partition is damaged: {}", error.what()));
  } catch (const std::logic_error& error) {
    throw ModelError(fmt::format("its partition is damaged: {}", error.what()));
  }
}

}  // namespace dml
