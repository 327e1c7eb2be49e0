// `--plan auto`: what bounds the layout, and what contradicts it.
#include "launch/commands/plan/planned_layout.h"

#include <gtest/gtest.h>

#include <iterator>
#include <sstream>

#include "launch/commands/commands.h"

namespace dml {
namespace {

/// The configuration of a training with these options, its layout planned for `started` ranks of a launcher; 0: none.
Config planned(const std::string& options, int started = 0) {
  std::istringstream words("--plan auto:a100-80g " + options);
  const std::vector<std::string> arguments{std::istream_iterator<std::string>(words), {}};
  Config config = parse_command_line(arguments, all_commands()).config;
  LauncherEnvironment launcher;
  launcher.size = started;
  EXPECT_NE(use_planned_layout(config, launcher), "");
  return config;
}

std::string refusal(const std::string& options, int started = 0) {
  try {
    planned(options, started);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "not refused";
}

constexpr const char* kSmall = "--model gpt:layers=4,width=32,heads=4,seq=8,vocab=256 --data builtin:text --batch 16 ";

TEST(PlannedLayout, IsBoundedByWhatIsGiven) {
  const Config config = planned(kSmall + std::string("--ranks 4 --microbatches 2 --schedule 1f1b"));
  EXPECT_EQ(config.layout.d * config.layout.p * config.layout.t, 4);
  EXPECT_EQ(config.layout.microbatches, 2);
  EXPECT_EQ(config.layout.schedule, "1f1b");
  EXPECT_EQ(planned(kSmall + std::string("--ranks 4 --microbatches 4 --schedule gpipe")).layout.schedule, "gpipe");
}

TEST(PlannedLayout, ThePresetIsNoBound) {
  EXPECT_EQ(planned("--ranks 1").layout.microbatches, 1);  // the preset has 4, which one rank alone has no use for
}

TEST(PlannedLayout, IsForAsManyRanksAsTheAxesComeTo) {
  const LayoutConfig layout = planned(kSmall + std::string("--d 2 --p 2")).layout;
  EXPECT_EQ(layout.d * layout.p * layout.t, 4);
}

TEST(PlannedLayout, ContradictionsAreNamed) {
  const auto expect = [](const std::string& options, int started, const std::string& part) {
    const std::string text = refusal(kSmall + options, started);
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  expect("--chunks 2 --ranks 4", 0, "--chunks 2: --plan auto finds the chunks");
  expect("--d 2", 4, "chooses d, p and t for 4 ranks, not for the 2 of --d 2 --p 1 --t 1");
  expect("--ranks 2", 4, "--ranks 2, but 4 ranks were started");
  expect("--ranks 4 --schedule dualpipe", 0, "dualpipe");
  expect("--ranks 4 --cut a", 0, "--cut");
}

}  // namespace
}  // namespace dml
