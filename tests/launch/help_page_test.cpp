#include "launch/help_page.h"

#include <gtest/gtest.h>

#include <sstream>

#include "launch/commands/commands.h"
#include "launch/help/topics.h"
#include "launch/options/option_table.h"
#include "launch/options/usage_error.h"

namespace dml {
namespace {

TEST(HelpPage, HoldsEveryOptionGroupAndDefault) {
  const std::string page = help_page(all_commands(), {});
  for (const OptionSpec& spec : option_table()) {
    EXPECT_NE(page.find("\n  --" + spec.name + " "), std::string::npos) << spec.name;
    EXPECT_NE(page.find("\n" + spec.group + "\n"), std::string::npos) << spec.group;
  }
  EXPECT_NE(page.find("decay of the mean square, for adam and adamw [0.999]"), std::string::npos);
  EXPECT_NE(page.find("mpirun -np 8 dmltrain --d 2 --p 2 --t 2"), std::string::npos);
}

TEST(HelpPage, FitsAndIsPlainWithoutColour) {
  const std::string page = help_page(all_commands(), {});
  EXPECT_EQ(page.find('\033'), std::string::npos);
  EXPECT_NE(help_page(all_commands(), {true}).find('\033'), std::string::npos);
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(display_width(line), 104U) << line;
}

TEST(HelpTopic, AllAreThere) {
  for (const char* name : {"layouts", "data", "definitions", "breakdown", "errors"}) {
    EXPECT_EQ(help_topic(name, {}).substr(0, 2), "# ") << name;
    EXPECT_NE(help_topic("", {}).find(name), std::string::npos);
  }
}

TEST(HelpTopic, UnknownOneIsAnError) {
  try {
    help_topic("layout", {});
    FAIL();
  } catch (const UsageError& error) {
    const std::string text = error.what();
    EXPECT_TRUE(text.starts_with("help: there is no topic 'layout' (did you mean layouts?); topics are: breakdown, "));
    for (const HelpTopic& topic : help_topics()) EXPECT_NE(text.find(topic.name), std::string::npos) << text;
  }
}

TEST(HelpTopic, MarkdownIsRenderedOnATerminalAlone) {
  const std::string text = "# Title\nuse `--d` and **care**\n```\ncode\n```\n";
  EXPECT_EQ(render_markdown(text, {}), text);
  EXPECT_EQ(render_markdown(text, {true}),
            "\033[1;36mTitle\033[0m\nuse \033[32m--d\033[0m and \033[1mcare\033[0m\n  \033[32mcode\033[0m\n");
}

}  // namespace
}  // namespace dml
