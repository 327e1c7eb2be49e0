#include "launch/hardware_file.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "launch/options/usage_error.h"

namespace dml {
namespace {

Hardware measured_hardware() {
  Hardware hardware;
  hardware.name = "a machine";
  hardware.launch_seconds = 1.5e-6;
  hardware.disturbance = 0.02;
  hardware.peaks = {.f32_flops = 2e11, .memory_bytes_per_s = 3e10};
  hardware.cores_per_host = 2;
  hardware.levels = {{.ranks = 8, .link = {2e-6, 1e9}, .algorithm = CollectiveAlgorithm::direct}};
  hardware.kernels["MatMul"] = {
      {.threads = 1, .table = {{{8, 32}, {8}, {16777728}}, {1e-6, 2e-6}, {0.1, 0.2}}, .residual = 0.03},
      {.threads = 2, .ranks = 4, .table = {{{8, 32}, {8}, {16777728}}, {1e-6, 2e-6}, {}}}};
  hardware.comm[CommKind::all_reduce] = {{{2, 4}, {256}}, {1e-6, 3e-6}, {0.1, 0.1}};
  return hardware;
}

/// A file that is whole but for `line`, which goes to its end.
std::string with(const std::string& line) {
  return "name = \"x\"\n" + (line.starts_with("[") ? "" : line + "\n") +
         "[peaks]\nf32_gflops = 1\nmemory_gb_per_s = 1\n" + (line.starts_with("[") ? line + "\n" : "");
}

void expect_refused(const std::string& text, const std::string& said) {
  try {
    parse_hardware(text, "h.toml");
    ADD_FAILURE() << "taken: " << text;
  } catch (const UsageError& error) {
    const std::string what = error.what();
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
    EXPECT_TRUE(what.starts_with("h.toml")) << what;
    EXPECT_NE(what.find(said), std::string::npos) << what;
  }
}

TEST(HardwareFile, IsReadAsItWasWritten) {
  const std::string text = write_hardware(measured_hardware());
  const Hardware read = parse_hardware(text, "h.toml");
  EXPECT_EQ(write_hardware(read), text);
  EXPECT_EQ(read.name, "a machine");
  EXPECT_DOUBLE_EQ(read.launch_seconds, 1.5e-6);
  EXPECT_DOUBLE_EQ(read.disturbance, 0.02);
  EXPECT_EQ(read.kernels.at("MatMul").size(), 2);
  EXPECT_DOUBLE_EQ(read.kernels.at("MatMul")[0].table.seconds[1], 2e-6);
  EXPECT_DOUBLE_EQ(read.kernels.at("MatMul")[0].table.axes[2][0], 16777728);
  EXPECT_DOUBLE_EQ(read.kernels.at("MatMul")[0].residual, 0.03);
  EXPECT_EQ(read.kernels.at("MatMul")[1].ranks, 4);
  EXPECT_DOUBLE_EQ(read.comm.at(CommKind::all_reduce).seconds[1], 3e-6);
  EXPECT_EQ(read.levels[0].algorithm, CollectiveAlgorithm::direct);
}

TEST(HardwareFile, PresetsCanBeWrittenAndRead) {
  for (const std::string_view name : hardware_preset_names()) {
    const std::string text = write_hardware(hardware_preset(name));
    EXPECT_EQ(write_hardware(parse_hardware(text, "h.toml")), text) << name;
  }
}

TEST(HardwareFile, GoesOverItsBase) {
  const Hardware read = parse_hardware("name = \"slow\"\nbase = \"h200\"\n[peaks]\nefficiency = 0.5\n", "h.toml");
  EXPECT_EQ(read.name, "slow");
  EXPECT_EQ(read.peaks.efficiency, 0.5);
  EXPECT_EQ(read.peaks.f16_flops, hardware_preset("h200").peaks.f16_flops);
  EXPECT_EQ(read.levels.size(), 2);
}

TEST(HardwareFile, RanksMayHaveOtherDevices) {
  const Hardware read = parse_hardware(
      "name = \"mixed\"\nbase = \"a100-80g\"\n[[device]]\nranks = [4, 7]\nhardware = \"h200\"\n", "mixed.toml");
  EXPECT_EQ(read.device_of(3).name, "mixed");
  EXPECT_EQ(read.device_of(4).name, "h200");
  EXPECT_EQ(read.device_of(7).name, "h200");
  EXPECT_EQ(read.device_of(8).name, "mixed");
}

TEST(HardwareFile, RanksAndHostsMayHaveLinksOfTheirOwn) {
  const Hardware read = parse_hardware(
      "name = \"bridged\"\nbase = \"a100-80g\"\n[[link]]\nranks = [0, 1]\ngb_per_s = 500\n"
      "[[link]]\nhosts = [1, 2]\nlatency_us = 50\ngb_per_s = 1\n",
      "bridged.toml");
  ASSERT_EQ(read.links.size(), 2U);
  EXPECT_DOUBLE_EQ(read.links[0].link.bytes_per_s, 5e11);
  EXPECT_DOUBLE_EQ(read.links[0].link.latency, read.levels.back().link.latency);
  EXPECT_EQ(read.links[1].ranks.first, 8);
  EXPECT_EQ(read.links[1].others.last, 23);
  EXPECT_DOUBLE_EQ(read.links[1].link.latency, 5e-5);
}

TEST(HardwareFile, ANetworkMayBeOfAKnownShape) {
  const Hardware tree = parse_hardware(
      with("[topology]\nshape = \"fat-tree\"\nranks = [8, 64]\nlatency_us = [1, 2, 3]\ngb_per_s = [100, 20, 20]\n"
           "oversubscription = 2"),
      "tree.toml");
  ASSERT_EQ(tree.levels.size(), 3U);
  EXPECT_DOUBLE_EQ(tree.levels[2].link.bytes_per_s, 5e9);
  expect_refused(with("[topology]\nshape = \"torus\"\nlatency_us = [1]\ngb_per_s = [1]"),
                 "none of nodes, fat-tree, full-mesh");
  expect_refused(with("[topology]\nshape = \"nodes\"\nranks = [8]\nlatency_us = [1]\ngb_per_s = [1]"),
                 "1 tiers have links");
  expect_refused(with("[topology]\nshape = \"full-mesh\"\nlatency_us = [1]\ngb_per_s = [1, 2]"),
                 "latency_us has 1 numbers, gb_per_s has 2");
  expect_refused(with("[[level]]\nranks = 8\ngb_per_s = 1\n[topology]\nshape = \"full-mesh\"\nlatency_us = [1]\n"
                      "gb_per_s = [1]"),
                 "not both");
}

TEST(HardwareFile, AMachineMayHaveSoManyRanks) {
  const Hardware read = parse_hardware("name = \"two\"\nbase = \"a100-80g\"\nranks = 2\n", "two.toml");
  EXPECT_NO_THROW(read.check_world(2));
  EXPECT_THROW(read.check_world(3), std::invalid_argument);
}

TEST(HardwareFile, SaysFileLineAndKeyOfWhatIsWrong) {
  EXPECT_NO_THROW(parse_hardware(with("launch_us = 1"), "h.toml"));
  expect_refused("name = ", "line 1");
  expect_refused("[peaks]\nf32_gflops = 1\nmemory_gb_per_s = 1\n", "name is missing");
  expect_refused("name = \"x\"\n", "the peak of f32 is 0");
  expect_refused(with("lunch_us = 1"), "line 2: unknown key 'lunch_us' (did you mean launch_us?)");
  expect_refused(with("launch_us = \"soon\""), "line 2: launch_us should be a number");
  expect_refused(with("launch_us = nan"), "launch_us should be a number");
  expect_refused(with("cores_per_host = -1"), "cores_per_host should be a whole number");
  expect_refused(with("base = \"a100\""), "there is no hardware 'a100'");
  expect_refused(with("level = 3"), "level should be a list");
  expect_refused(with("[[link]]\ngb_per_s = 1"), "between two ranks or two hosts");
  expect_refused(with("[[link]]\nranks = [1, 1]\ngb_per_s = 1"), "a link of rank 1 to itself");
  expect_refused(with("[[link]]\nranks = [1, 2, 3]\ngb_per_s = 1"), "a link has 2 ends, not 3");
  expect_refused(with("[[link]]\nranks = [-1, 2]\ngb_per_s = 1"), "ranks should be whole numbers from 0");
  expect_refused(with("[[link]]\nranks = [1, 2]"), "the bandwidth of a link is 0");
  expect_refused(with("[[link]]\nhosts = [0, 1]\ngb_per_s = 1"), "which this file does not say");
  expect_refused(with("overlap_slowdown = 0.9"), "the slow-down beside communication is 0.9");
  expect_refused(with("host_gb_per_s = 1"), "given, as ranks_per_host");
  expect_refused(with("[[device]]\nranks = [4]\nhardware = \"h200\""), "the first and the last");
  expect_refused(with("[[device]]\nranks = [4, 2]\nhardware = \"h200\""), "the last rank of other devices is 2");
  expect_refused(with("[[device]]\nranks = [0, 1]\nhardware = \"a1000\""), "a1000");
  expect_refused(with("[[level]]\nranks = 8\ngb_per_s = 0"), "the bandwidth of a link is 0");
  expect_refused(with("[[level]]\nranks = 8\ngb_per_s = 1\nalgorithm = \"star\""), "none of automatic, ring");
  expect_refused(with("[[kernel]]\nfamily = \"Add\"\naxes = [[1, 2]]\nus = [1]"), "1 seconds for a grid of 2 points");
  expect_refused(with("[[kernel]]\nfamily = \"Add\"\naxes = [[1, 2]]"), "us is missing");
  expect_refused(with("[[kernel]]\nfamily = \"Add\"\naxes = [1, 2]\nus = [1]"), "axes should be a list");
  expect_refused(with("[[comm]]\nkind = \"gossip\"\nranks = [2]\nbytes = [1]\nus = [1]"), "'gossip' is none of send");
}

TEST(HardwareFile, AFileCutShortIsRefused) {
  const std::string text = write_hardware(measured_hardware());
  const std::size_t in_the_last_list = text.rfind(',');
  expect_refused(text.substr(0, in_the_last_list), "line");
}

TEST(HardwareFile, NamesThatAreNeitherPresetNorFileListThePresets) {
  EXPECT_EQ(find_hardware("b200").name, "b200");
  try {
    find_hardware("calibrated:no/such/file.toml");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("a100-80g, h100-sxm"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace dml
