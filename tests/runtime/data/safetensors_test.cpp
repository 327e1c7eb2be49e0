#include "runtime/data/safetensors.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>

#include "kernels/error.h"
#include "tests/runtime/data/temporary_folder.h"

namespace dml {
namespace {

std::string file_of(const std::string& header, const std::string& data) {
  return little_endian<std::uint64_t>({header.size()}, 8) + header + data;
}

TEST(Safetensors, ReadsWhatItWrote) {
  const TemporaryFolder folder;
  const std::string path = folder.path("a.safetensors");
  std::array<float, 6> floats{};
  std::iota(floats.begin(), floats.end(), 0.5F);
  const std::array<std::int64_t, 3> integers = {-1, 2, std::int64_t{1} << 40};
  const std::array<bool, 3> booleans = {true, false, true};
  {
    SafetensorsWriter writer(path, {{"producer", "test"}, {"quote", "a\"b"}});
    writer.declare("z.flags", DataType::boolean, Shape{3});
    writer.declare("b", DataType::f32, Shape{2, 3});
    writer.declare("a", DataType::i64, Shape{3});
    writer.declare("empty", DataType::f32, Shape{0, 4});
    writer.declare("scalar", DataType::f32, Shape{});
    writer.write("b", 3, floats.data() + 3, 3);
    writer.write("b", 0, floats.data(), 3);
    writer.write("a", integers.data());
    writer.write("z.flags", booleans.data());
    writer.write("scalar", floats.data());
    EXPECT_FALSE(std::filesystem::exists(path));
    writer.close();
  }
  const SafetensorsFile file(path);
  EXPECT_EQ(file.names(), (std::vector<std::string>{"a", "b", "empty", "scalar", "z.flags"}));
  EXPECT_EQ(file.metadata().at("producer"), "test");
  EXPECT_EQ(file.metadata().at("quote"), "a\"b");
  const TensorView b = file.get("b");
  EXPECT_EQ(b.dtype, DataType::f32);
  EXPECT_EQ(b.shape, (Shape{2, 3}));
  EXPECT_TRUE(std::equal(floats.begin(), floats.end(), b.f32()));
  EXPECT_TRUE(std::equal(integers.begin(), integers.end(), file.get("a").as<std::int64_t>()));
  EXPECT_TRUE(std::equal(booleans.begin(), booleans.end(), file.get("z.flags").as<bool>()));
  EXPECT_EQ(file.get("empty").num_elements(), 0);
  EXPECT_TRUE(file.find("empty"));
  EXPECT_EQ(*file.get("scalar").f32(), 0.5F);
  EXPECT_FALSE(file.find("c"));
  EXPECT_NE(error_of<IoError>([&] { file.get("c"); }).find("a, b, empty"), std::string::npos);
}

TEST(Safetensors, WriterAlignsTensorsAndHeader) {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder.path("a"));
  writer.declare("a", DataType::u8, Shape{3});
  writer.declare("b", DataType::f64, Shape{1});
  writer.write("a", "xyz");
  const double value = 2;
  writer.write("b", &value);
  writer.close();
  const SafetensorsFile file(folder.path("a"));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.get("b").data) % 8, 0U);
}

TEST(Safetensors, WriterRefusesWrongUse) {
  const TemporaryFolder folder;
  const std::string path = folder.path("a");
  {
    SafetensorsWriter writer(path);
    const float value = 1;
    writer.declare("a", DataType::f32, Shape{2});
    EXPECT_THROW(writer.declare("a", DataType::f32, Shape{2}), std::invalid_argument);
    EXPECT_THROW(writer.declare("__metadata__", DataType::f32, Shape{2}), std::invalid_argument);
    EXPECT_THROW(writer.write("b", &value), std::invalid_argument);
    EXPECT_THROW(writer.write("a", 1, &value, 2), std::invalid_argument);
    EXPECT_THROW(writer.write("a", -1, &value, 1), std::invalid_argument);
    writer.write("a", 0, &value, 1);
    EXPECT_THROW(writer.declare("c", DataType::f32, Shape{2}), std::invalid_argument);
    EXPECT_EQ(error_of<std::invalid_argument>([&] { writer.close(); }),
              "[safetensors] 1 of 2 elements of a were written");
  }
  EXPECT_TRUE(std::filesystem::is_empty(std::filesystem::path(path).parent_path())) << "an unfinished file was left";
  SafetensorsWriter nowhere(folder.path("no/folder/a"));
  EXPECT_THROW(nowhere.close(), IoError);
}

TEST(Safetensors, ReadsTheFixtures) {
  const SafetensorsFile file(DML_TEST_DATA "/fixtures/mlp_digits.ts17.safetensors");
  EXPECT_EQ(file.get("losses.sgd").shape, Shape{20});
  EXPECT_EQ(file.get("losses.sgd.f64").dtype, DataType::f64);
  EXPECT_EQ(file.get("step0.input.pixels").shape, (Shape{32, 64}));
  EXPECT_FALSE(file.metadata().empty());
}

TEST(Safetensors, TakesAnEmptyListAndSpacesAfterTheHeader) {
  const TemporaryFolder folder;
  EXPECT_TRUE(SafetensorsFile(folder.write("a", file_of("{}   ", ""))).names().empty());
}

struct Broken {
  const char* what;
  std::string bytes;
  const char* message;
};

std::vector<Broken> broken_files() {
  const std::string f4 = R"("dtype":"F32","shape":[1],"data_offsets":[0,4])";
  const std::string data(4, 'x');
  const auto of = [](const std::string& header, const std::string& bytes) { return file_of(header, bytes); };
  const auto tensor = [&](const std::string& body) { return file_of("{\"a\":{" + body + "}}", std::string(4, 'x')); };
  return {
      {"no bytes", "", "it has 0 bytes"},
      {"short length", "abc", "it has 3 bytes"},
      {"header beyond the end", little_endian<std::uint64_t>({100}, 8) + "{}", "header has 100 bytes"},
      {"header of 2^63 bytes", little_endian<std::uint64_t>({std::uint64_t{1} << 63}, 8) + "{}",
       "header has 9223372036854775808"},
      {"header that wraps around", std::string(8, '\xff') + "{}", "header has 18446744073709551615"},
      {"empty header", of("", ""), "does not begin with {"},
      {"space first", of(" {}", ""), "does not begin with {"},
      {"no JSON", of("{\"a\":", ""), "parse error"},
      {"text after the JSON", of("{}x", ""), "parse error"},
      {"not UTF-8", of("{\"\xff\":1}", ""), "parse error"},
      {"deep nesting", of("{\"a\":" + std::string(5000, '[') + std::string(5000, ']') + "}", ""), "nested too deeply"},
      {"name twice", of("{\"a\":{" + f4 + "},\"a\":{" + f4 + "}}", data), "the key a occurs twice"},
      {"key twice", tensor(f4 + R"(,"dtype":"F32")"), "the key dtype occurs twice"},
      {"no object", of("{\"a\":3}", ""), "needs exactly dtype, shape and data_offsets"},
      {"key missing", tensor(R"("dtype":"F32","shape":[1])"), "needs exactly"},
      {"key too many", tensor(f4 + R"(,"x":1)"), "needs exactly"},
      {"dtype is a number", tensor(R"("dtype":1,"shape":[1],"data_offsets":[0,4])"), "dtype is not a string"},
      {"unknown dtype", tensor(R"("dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4])"),
       "type F8_E4M3 is not supported"},
      {"shape is a number", tensor(R"("dtype":"F32","shape":1,"data_offsets":[0,4])"), "shape is not a list"},
      {"negative extent", tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), "no extent"},
      {"fractional extent", tensor(R"("dtype":"F32","shape":[1.5],"data_offsets":[0,4])"), "no extent"},
      {"too many dims", tensor(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])"), "it has 9 dims"},
      {"elements overflow", tensor(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4])"),
       "too many elements"},
      {"three offsets", tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,8])"), "not two numbers"},
      {"offsets backwards", tensor(R"("dtype":"F32","shape":[0],"data_offsets":[4,0])"), "ascending"},
      {"negative offset", tensor(R"("dtype":"F32","shape":[1],"data_offsets":[-4,0])"), "ascending"},
      {"size disagrees", tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"),
       "shape 2 needs 8 bytes, it has 4"},
      {"data truncated", of("{\"a\":{" + f4 + "}}", "x"), "its tensors take 4 bytes, 1 are there"},
      {"data too long", of("{\"a\":{" + f4 + "}}", "xxxxx"), "its tensors take 4 bytes, 5 are there"},
      {"hole", of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", "xx"),
       "begins at byte 1 of the data, expected 0"},
      {"overlap",
       of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
          "xxx"),
       "tensor b begins at byte 1 of the data, expected 2"},
      {"metadata is a list", of(R"({"__metadata__":[]})", ""), "__metadata__ is not an object"},
      {"metadata holds a number", of(R"({"__metadata__":{"a":1}})", ""), "__metadata__ a is not a string"},
  };
}

TEST(Safetensors, RefusesBrokenFiles) {
  const TemporaryFolder folder;
  for (const Broken& broken : broken_files()) {
    const std::string path = folder.write("broken", broken.bytes);
    const std::string error = error_of<IoError>([&] { SafetensorsFile file(path); });
    EXPECT_NE(error.find(broken.message), std::string::npos) << broken.what << ": " << error;
    EXPECT_NE(error.find(path), std::string::npos) << broken.what << ": " << error;
  }
  EXPECT_THROW(SafetensorsFile(folder.path("missing")), IoError);
  EXPECT_THROW(SafetensorsFile(folder.path("")), IoError);
}

TEST(Safetensors, SurvivesEveryCutAndEveryChangedHeaderByte) {
  const TemporaryFolder folder;
  const std::string whole = file_of(
      R"({"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})",
      std::string(11, 'x'));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::string path = folder.write("cut", whole.substr(0, length));
    EXPECT_THROW(SafetensorsFile file(path), IoError) << "cut to " << length;
  }
  for (std::size_t at = 0; at + 11 < whole.size(); ++at) {
    for (const char other : {'0', '"', '\xff'}) {
      std::string changed = whole;
      changed[at] = other;
      const std::string path = folder.write("changed", changed);
      try {
        const SafetensorsFile file(path);
        for (const std::string& name : file.names()) EXPECT_LE(file.get(name).num_bytes(), 11U);
      } catch (const IoError&) {
        continue;
      }
    }
  }
}

}  // namespace
}  // namespace dml
