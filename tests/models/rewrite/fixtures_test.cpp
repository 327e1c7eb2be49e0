// What is found in files as exporters write them.
#include <gtest/gtest.h>

#include "models/autodiff.h"
#include "models/loss.h"
#include "models/onnx/model_file.h"
#include "models/rewrite/fuse.h"
#include "models/trainable.h"
#include "tests/models/small_graph.h"

namespace dml {
namespace {

struct FixturesCase {
  std::string file;
  std::string attention;  ///< which operation attention becomes
  int layers;
  std::size_t parameters;
  std::string gelu;
};

void PrintTo(const FixturesCase& row, std::ostream* out) { *out << row.file; }

class FuseFixture : public testing::TestWithParam<FixturesCase> {};

TEST_P(FuseFixture, FindsAttentionAndGeluInEveryLayer) {
  const FixturesCase& row = GetParam();
  Graph graph = OnnxModel::load(DML_TEST_DATA "/fixtures/" + row.file + ".onnx")->build({});
  choose_trainable(graph, {}, {});
  fuse(graph);
  EXPECT_EQ(count_of(graph, row.attention), row.layers);
  EXPECT_EQ(count_of(graph, "Gelu"), row.layers);
  for (const char* op : {"Softmax", "Transpose", "Reshape", "Erf", "Tanh", "Where"})
    EXPECT_EQ(count_of(graph, op), 0) << op;
  for (const Node& node : graph.nodes()) {
    EXPECT_TRUE(node.op->name != row.attention || node.attrs.integer("causal") == 1) << node.name;
    EXPECT_TRUE(node.op->name != "Gelu" || node.attrs.text("approximate") == row.gelu) << node.name;
  }

  const Shape logits = graph.shape(graph.output);
  append_loss(graph, "auto", DataType::i64, {logits[0], logits[1]});
  append_backward(graph);
  EXPECT_EQ(graph.gradient_of.size(), row.parameters);
}

INSTANTIATE_TEST_SUITE_P(Files, FuseFixture,
                         testing::Values(FixturesCase{"gpt_tiny.ts17", "PackedAttention", 2, 28, "tanh"},
                                         FixturesCase{"gpt_tiny.dynamo", "PackedAttention", 2, 28, "tanh"},
                                         FixturesCase{"gpt_sdpa.ts17", "Attention", 4, 53, "none"},
                                         FixturesCase{"gpt_sdpa.dynamo", "Attention", 4, 53, "none"},
                                         FixturesCase{"edge_merged.dynamo", "Attention", 2, 21, "none"},
                                         FixturesCase{"edge_split.ts17", "PackedAttention", 2, 29, "tanh"}),
                         [](const auto& info) {
                           std::string name = info.param.file;
                           name[name.find('.')] = '_';
                           return name;
                         });

}  // namespace
}  // namespace dml
