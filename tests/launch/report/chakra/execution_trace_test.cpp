#include "launch/report/chakra/execution_trace.h"

#include <et_def.pb.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/delimited_message_util.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "tests/launch/report/graph/small_plan.h"

namespace dml {
namespace {

namespace chakra = ChakraProtoMsg;

struct Trace {
  chakra::GlobalMetadata metadata;
  std::vector<chakra::Node> nodes;
};

Trace read(const std::string& bytes) {
  google::protobuf::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  Trace trace;
  bool at_end = false;
  EXPECT_TRUE(google::protobuf::util::ParseDelimitedFromZeroCopyStream(&trace.metadata, &stream, &at_end));
  chakra::Node node;
  while (node.Clear(), google::protobuf::util::ParseDelimitedFromZeroCopyStream(&node, &stream, &at_end))
    trace.nodes.push_back(node);
  EXPECT_TRUE(at_end);
  return trace;
}

const chakra::AttributeProto& attribute(const chakra::Node& node, const std::string& name) {
  for (const chakra::AttributeProto& attr : node.attr()) {
    if (attr.name() == name) return attr;
  }
  throw std::out_of_range(node.name() + " has no " + name);
}

class ExecutionTrace : public testing::Test {
 protected:
  ExecutionTrace() {
    for (int rank = 0; rank < plan_.mesh().world_size(); ++rank)
      traces_.push_back(read(execution_trace(plan_.partition(rank), groups_)));
  }

  LayoutPlan plan_{small_config(2, 2, 2, 8)};
  CommGroups groups_;
  std::vector<Trace> traces_;
};

TEST_F(ExecutionTrace, HasANodeForEachTask) {
  const Partition partition = plan_.partition(3);
  ASSERT_EQ(traces_[3].nodes.size(), partition.tasks.tasks.size());
  for (std::size_t i = 0; i < traces_[3].nodes.size(); ++i) {
    const Task& task = partition.tasks.tasks[i];
    const chakra::Node& node = traces_[3].nodes[i];
    EXPECT_EQ(attribute(node, "task").string_val(), task.id.to_string());
    EXPECT_EQ(node.data_deps_size(), task.num_deps);
    if (node.type() == chakra::COMP_NODE) {
      EXPECT_EQ(attribute(node, "num_ops").int64_val(), static_cast<std::int64_t>(partition.tasks.work_of(task).flops));
    }
  }
}

TEST_F(ExecutionTrace, DependsOnWhatStandsBefore) {
  for (const Trace& trace : traces_) {
    EXPECT_EQ(trace.metadata.version(), "0.0.4");
    for (std::size_t i = 0; i < trace.nodes.size(); ++i) {
      ASSERT_EQ(trace.nodes[i].id(), i);
      for (const std::uint64_t dep : trace.nodes[i].data_deps()) EXPECT_LT(dep, i);
      for (const std::uint64_t dep : trace.nodes[i].ctrl_deps()) EXPECT_LT(dep, i);
    }
  }
}

TEST_F(ExecutionTrace, MatchesEverySendWithOneReceive) {
  std::map<std::tuple<int, int, int, std::int64_t>, int> open;  // source, destination, tag, size
  int sends = 0;
  for (const Trace& trace : traces_) {
    for (const chakra::Node& node : trace.nodes) {
      if (node.type() != chakra::COMM_SEND_NODE && node.type() != chakra::COMM_RECV_NODE) continue;
      const std::tuple key{attribute(node, "comm_src").int32_val(), attribute(node, "comm_dst").int32_val(),
                           attribute(node, "comm_tag").int32_val(), attribute(node, "comm_size").int64_val()};
      const bool is_send = node.type() == chakra::COMM_SEND_NODE;
      sends += is_send ? 1 : 0;
      open[key] += is_send ? 1 : -100;
    }
  }
  EXPECT_GT(sends, 0);
  for (const auto& [key, count] : open) EXPECT_EQ(count, -99) << "tag " << std::get<2>(key);
}

TEST_F(ExecutionTrace, RunsTheSameCollectivesOnAllRanksOfAGroup) {
  const auto groups = nlohmann::json::parse(groups_.to_json());
  using Call = std::tuple<std::int64_t, std::int64_t>;  // type, bytes
  std::map<std::string, std::map<int, std::vector<Call>>> calls;
  for (int rank = 0; rank < static_cast<int>(traces_.size()); ++rank) {
    for (const chakra::Node& node : traces_[static_cast<std::size_t>(rank)].nodes) {
      if (node.type() != chakra::COMM_COLL_NODE) continue;
      calls[attribute(node, "pg_name").string_val()][rank].emplace_back(attribute(node, "comm_type").int64_val(),
                                                                        attribute(node, "comm_size").int64_val());
    }
  }
  EXPECT_EQ(calls.size(), groups.size());
  for (const auto& [name, by_rank] : calls) {
    ASSERT_EQ(groups[name].size(), by_rank.size()) << "group " << name;
    for (const auto& [rank, its_calls] : by_rank) {
      EXPECT_NE(std::find(groups[name].begin(), groups[name].end(), rank), groups[name].end());
      EXPECT_EQ(its_calls, by_rank.begin()->second) << "group " << name << ", rank " << rank;
    }
  }
}

}  // namespace
}  // namespace dml
