#include "models/scope.h"

#include <gtest/gtest.h>

namespace dml {
namespace {

TEST(Scope, NamesItsLayer) {
  EXPECT_EQ(layer_of("blocks.0/attn/qkv", 0), "blocks.0");
  EXPECT_EQ(layer_of("blocks/0/attn", 0), "blocks.0");
  EXPECT_EQ(layer_of("model/layers.0/attn", 0), "layers.0");
  EXPECT_EQ(layer_of("layers.1/conv.0", 0), "layers.1");
  EXPECT_EQ(layer_of("model/embed_tokens", 0), "model");
  EXPECT_EQ(layer_of("/model/head", 1), "head");
  EXPECT_EQ(layer_of("model", 1), "(other)");
  EXPECT_EQ(layer_of("", 0), "(other)");
}

}  // namespace
}  // namespace dml
