#include <gtest/gtest.h>

#include <numeric>

#include "kernels/error.h"
#include "runtime/data/builtin.h"
#include "runtime/data/dataset.h"
#include "tests/runtime/data/in_order.h"
#include "tests/runtime/data/temporary_folder.h"

namespace dml {
namespace {

ModelInputs token_model(std::int64_t length, std::int64_t vocabulary = 0, DataType dtype = DataType::i64) {
  return {{{"tokens", dtype, Shape{-1, length}}}, 0, vocabulary};
}

template <typename T>
std::vector<T> read(const Dataset& data, const std::vector<std::int64_t>& ids, int field) {
  const std::int64_t length = data.label().sample_shape.num_elements();
  std::vector<T> out(ids.size() * static_cast<std::size_t>(length));
  data.read(ids, field, out.data());
  return out;
}

std::string llm_c_file(std::int32_t magic, std::int32_t version, const std::vector<std::uint32_t>& tokens, int width,
                       std::int64_t announced = -1) {
  std::vector<std::int64_t> header(256);
  header[0] = magic;
  header[1] = version;
  header[2] = announced < 0 ? static_cast<std::int64_t>(tokens.size()) : announced;
  return little_endian(header, 4) + little_endian(tokens, width);
}

TEST(TextData, WindowsFollowOneAnotherAndLabelsAreTheNextBytes) {
  const TemporaryFolder folder;
  const auto data = open_in_order("text:" + folder.write("t", "abcdefghi\xff"), token_model(3));
  EXPECT_EQ(data->num_samples(), 3);
  EXPECT_EQ(data->tokens_per_sample(), 3);
  EXPECT_EQ(data->num_classes(), 256);
  EXPECT_FALSE(data->is_given_batches());
  ASSERT_EQ(data->inputs().size(), 1U);
  EXPECT_EQ(data->inputs()[0].name, "tokens");
  EXPECT_EQ(data->inputs()[0].sample_shape, Shape{3});
  EXPECT_EQ(data->label().dtype, DataType::i64);
  using Tokens = std::vector<std::int64_t>;
  EXPECT_EQ(read<std::int64_t>(*data, {2, 0}, 0), (Tokens{'g', 'h', 'i', 'a', 'b', 'c'}));
  EXPECT_EQ(read<std::int64_t>(*data, {2, 0}, 1), (Tokens{'h', 'i', 255, 'b', 'c', 'd'}));
  EXPECT_EQ(data->counted_targets(std::vector<std::int64_t>{2, 0}), 6);
}

TEST(TextData, TheRemainderIsDropped) {
  const TemporaryFolder folder;
  for (const auto& [bytes, samples] : {std::pair{4, 1}, {6, 1}, {7, 2}, {9, 2}, {10, 3}}) {
    const auto path = folder.write("t.txt", std::string(static_cast<std::size_t>(bytes), 'x'));
    EXPECT_EQ(open_in_order(path, token_model(3))->num_samples(), samples) << bytes << " bytes";
  }
}

TEST(TextData, FeedsInt32) {
  const TemporaryFolder folder;
  const auto data = open_in_order("text:" + folder.write("t", "abcde"), token_model(2, 256, DataType::i32));
  EXPECT_EQ(read<std::int32_t>(*data, {1}, 0), (std::vector<std::int32_t>{'c', 'd'}));
  EXPECT_EQ(read<std::int64_t>(*data, {1}, 1), (std::vector<std::int64_t>{'d', 'e'}));
}

TEST(TextData, TheBuiltinTextIsPlainEnglish) {
  const auto data = open_in_order("builtin:text", token_model(64, 256));
  const auto tokens = read<std::int64_t>(*data, {0}, 0);
  EXPECT_EQ(std::string(tokens.begin(), tokens.begin() + 22), "GENESIS\n\nIn the beginn");
  EXPECT_EQ(builtin_text().size(), 633239U);
  for (const std::byte byte : builtin_text()) {
    const int c = std::to_integer<int>(byte);
    ASSERT_TRUE(c == '\n' || (c >= ' ' && c < 127)) << c;
  }
}

TEST(TextData, SaysWhatDoesNotFit) {
  const TemporaryFolder folder;
  const std::string text = "text:" + folder.write("t", "abcd");
  EXPECT_NE(error_for("text:" + folder.write("e", ""), token_model(4)).find("has 0 tokens"), std::string::npos);
  EXPECT_NE(error_for(text, token_model(4)).find("has 4 tokens, one sample and its labels need 5"), std::string::npos);
  EXPECT_NE(error_for(text, token_model(2, 99)).find("token 99 at position 2 is outside the model's vocabulary of 99"),
            std::string::npos);
  EXPECT_NE(error_for(text, token_model(-1)).find("--dim"), std::string::npos);
  EXPECT_NE(error_for(text, token_model(2, 0, DataType::f32)).find("is f32"), std::string::npos);
  ModelInputs two = token_model(2);
  two.inputs.push_back(two.inputs[0]);
  EXPECT_NE(error_for(text, two).find("the model has 2"), std::string::npos);
  EXPECT_NE(error_for(text, {{{"x", DataType::i64, Shape{-1}}}, 0, 0}).find("shape -1"), std::string::npos);
}

TEST(TokenFile, ReadsTheThreeLayouts) {
  const TemporaryFolder folder;
  const std::vector<std::uint32_t> tokens = {1, 256, 50256, 65535, 7};
  std::vector<std::uint32_t> wide = tokens;
  wide[3] = 128255;
  const auto check = [&](const std::string& bytes, const std::vector<std::uint32_t>& expected) {
    const auto data = open_in_order(folder.write("t.bin", bytes), token_model(2));
    EXPECT_EQ(data->num_samples(), 2);
    const auto first = read<std::int64_t>(*data, {0, 1}, 0);
    EXPECT_TRUE(std::equal(first.begin(), first.end(), expected.begin()));
    const auto labels = read<std::int64_t>(*data, {0, 1}, 1);
    EXPECT_TRUE(std::equal(labels.begin(), labels.end(), expected.begin() + 1));
    EXPECT_EQ(data->num_classes(), 0);
  };
  check(little_endian(tokens, 2), tokens);
  check(llm_c_file(20240520, 1, tokens, 2), tokens);
  check(llm_c_file(20240801, 7, wide, 4), wide);
}

TEST(TokenFile, SaysWhatIsBroken) {
  const TemporaryFolder folder;
  const std::vector<std::uint32_t> tokens = {1, 2, 3, 4, 5};
  const auto error = [&](const std::string& bytes, std::int64_t vocabulary = 0) {
    return error_for(folder.write("t.bin", bytes), token_model(2, vocabulary));
  };
  EXPECT_NE(error("abc").find("3 bytes"), std::string::npos);
  EXPECT_NE(error("").find("0 tokens"), std::string::npos);
  EXPECT_NE(error(llm_c_file(20240520, 2, tokens, 2)).find("version 2"), std::string::npos);
  EXPECT_NE(error(llm_c_file(20240520, 1, tokens, 2, 6)).find("truncated: 6 tokens of 2 bytes are announced, 10"),
            std::string::npos);
  EXPECT_NE(error(llm_c_file(20240520, 1, tokens, 2, 0xffffffff)).find("4294967295 tokens"), std::string::npos);
  EXPECT_NE(error(llm_c_file(20240801, 7, {1}, 4)).find("has 1 tokens"), std::string::npos);
  EXPECT_NE(error(llm_c_file(20240801, 7, tokens, 4), 5).find("token 5 at position 4"), std::string::npos);
  EXPECT_EQ(error(llm_c_file(20240801, 7, tokens, 4), 6), "");
}

}  // namespace
}  // namespace dml
