#include "launch/shell/man_page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "launch/commands/commands.h"
#include "launch/help/topics.h"
#include "launch/shell/roff.h"

namespace dml {
namespace {

TEST(Roff, PrintsWhatItWouldTakeForCommands) {
  EXPECT_EQ(roff_text("--d 2 it's a\\b"), "\\-\\-d 2 it\\(aqs a\\eb");
  EXPECT_EQ(roff_text(".SH is text"), "\\&.SH is text");
  EXPECT_EQ(roff_text("'quoted'"), "\\(aqquoted\\(aq");
  EXPECT_EQ(roff_text("p·t"), "p\\[u00B7]t");
}

TEST(Roff, ParagraphsHeadingsAndLists) {
  EXPECT_EQ(roff_of_markdown("# Title\n\nOne `--d`\nand **two**.\n\n## Next\n\n- item\n  goes on\n\nEnd.\n"),
            "One \\fB\\-\\-d\\fR\nand \\fBtwo\\fR.\n.SS Next\n.IP \\(bu 2\nitem\ngoes on\n.PP\nEnd.\n");
}

TEST(Roff, TablesAndCodeStandAsTheyWereWritten) {
  EXPECT_EQ(roff_of_markdown("```\n.code `x`\n```\n"), ".PP\n.EX\n\\&.code \\(gax\\(ga\n.EE\n");
  EXPECT_EQ(roff_of_markdown("text\n\n    a  b\n\nmore\n"), "text\n.PP\n.EX\n    a  b\n.EE\n.PP\nmore\n");
  EXPECT_EQ(roff_of_markdown("| a | b |\n|---|---|\n"), ".PP\n.EX\n| a | b |\n|\\-\\-\\-|\\-\\-\\-|\n.EE\n");
}

TEST(Roff, ALoneMarkIsText) { EXPECT_EQ(roff_of_markdown("a `b\n2 * 3 ** 4\n"), "a \\(gab\n2 * 3 ** 4\n"); }

TEST(ManPage, HoldsEveryOptionCommandAndTopic) {
  const std::string page = man_page(all_commands());
  for (const OptionSpec& spec : option_table()) {
    EXPECT_NE(page.find("\\fB\\-\\-" + roff_text(spec.name) + "\\fR"), std::string::npos) << spec.name;
  }
  for (const CommandSpec& command : all_commands()) {
    EXPECT_NE(page.find(".SS dmltrain " + roff_text(command.name)), std::string::npos) << command.name;
  }
  for (const HelpTopic& topic : help_topics()) {
    std::string heading(topic.name);
    std::transform(heading.begin(), heading.end(), heading.begin(), [](char c) { return c - 'a' + 'A'; });
    EXPECT_NE(page.find(".SH " + heading + "\n"), std::string::npos) << topic.name;
  }
}

TEST(ManPage, HoldsNoRequestThatItDoesNotMean) {
  const std::set<std::string> known{".TH", ".SH", ".SS", ".TP", ".PP", ".IP", ".EX", ".EE", ".nf", ".fi", ".ad", ".nh"};
  std::istringstream lines(man_page(all_commands()));
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(!line.starts_with('.') || known.contains(line.substr(0, line.find(' ')))) << line;
    EXPECT_FALSE(line.starts_with('\'')) << line;
    EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](unsigned char c) { return c < 0x80; })) << line;
  }
}

}  // namespace
}  // namespace dml
