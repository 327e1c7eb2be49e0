#include "launch/shell/completion.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "launch/commands/commands.h"
#include "launch/help/topics.h"
#include "launch/options/usage_error.h"
#include "launch/shell/vocabulary.h"
#include "parallel/pipeline/schedule.h"

namespace dml {
namespace {

const OptionWord& word_of(const std::vector<OptionWord>& words, std::string_view name) {
  const auto found =
      std::find_if(words.begin(), words.end(), [&](const OptionWord& word) { return word.name == name; });
  if (found == words.end()) throw std::out_of_range(std::string(name));
  return *found;
}

const CommandWord& command_of(const std::vector<CommandWord>& words, std::string_view name) {
  const auto found =
      std::find_if(words.begin(), words.end(), [&](const CommandWord& word) { return word.name == name; });
  if (found == words.end()) throw std::out_of_range(std::string(name));
  return *found;
}

bool holds_word(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

TEST(Vocabulary, HoldsEveryOptionAndWhatOneChoosesAmong) {
  const std::vector<OptionWord> words = training_words();
  for (const OptionSpec& spec : option_table()) EXPECT_EQ(word_of(words, spec.name).value, spec.value);
  EXPECT_EQ(word_of(words, "comm").choices, (std::vector<std::string>{"auto", "thread", "mpi"}));
  EXPECT_EQ(word_of(words, "dtype").choices, (std::vector<std::string>{"f32", "bf16"}));
  EXPECT_EQ(word_of(words, "schedule").choices.size(), all_schedules().size());
  EXPECT_EQ(word_of(words, "resume").choices, std::vector<std::string>{"auto"});
  EXPECT_TRUE(word_of(words, "lr").choices.empty());
  EXPECT_EQ(word_of(words, "help").value, "");
}

TEST(Vocabulary, KnowsWhereAPathStands) {
  const std::vector<OptionWord> words = training_words();
  EXPECT_EQ(word_of(words, "config").path, PathKind::file);
  EXPECT_EQ(word_of(words, "model").path, PathKind::file);
  EXPECT_TRUE(holds_word(word_of(words, "model").choices, "gpt2-124m"));
  EXPECT_EQ(word_of(words, "shards").path, PathKind::folder);
  EXPECT_EQ(word_of(words, "seed").path, PathKind::none);
}

TEST(Vocabulary, KnowsCommandsAndTheirArguments) {
  const std::vector<CommandWord> words = command_words(all_commands());
  EXPECT_EQ(words.size(), all_commands().size());
  EXPECT_EQ(command_of(words, "help").choices.size(), help_topics().size());
  EXPECT_EQ(command_of(words, "completion").choices, (std::vector<std::string>{"bash", "zsh", "fish"}));
  EXPECT_TRUE(word_of(command_of(words, "plan").options, "schedules").is_list);
  EXPECT_TRUE(holds_word(word_of(command_of(words, "plan").options, "hardware").choices, "a100-80g"));
  EXPECT_EQ(next_words(words, "model"), (std::vector<std::string>{"show", "export", "partition"}));
  EXPECT_TRUE(next_words(words, "plan").empty());
}

TEST(Vocabulary, KnowsWhatACommandReadsOfTraining) {
  const std::vector<CommandWord> words = command_words(all_commands());
  const std::vector<std::string>& plan = command_of(words, "plan").reads;
  EXPECT_TRUE(holds_word(plan, "lr"));
  EXPECT_FALSE(holds_word(plan, "d"));          // chosen
  EXPECT_FALSE(holds_word(plan, "recompute"));  // an option of its own
  EXPECT_EQ(command_of(words, "man").reads, (std::vector<std::string>{"config", "help", "version"}));
  for (const CommandWord& command : words) {
    for (const std::string& name : command.reads) EXPECT_NO_THROW(word_of(training_words(), name)) << name;
  }
}

TEST(Vocabulary, ACommandMayAlsoBeTheFirstWordOfOthers) {
  const std::vector<CommandSpec> commands{{.name = "send", .arguments = "FILE", .summary = "sends"},
                                          {.name = "send status", .arguments = "JOB", .summary = "asks"}};
  const std::vector<CommandWord> words = command_words(commands);
  EXPECT_EQ(words.front().name, "send status");
  EXPECT_EQ(words.back().choices, std::vector<std::string>{"status"});
}

TEST(Vocabulary, FindsTheWordsThatStandInAPlaceholder) {
  const std::vector<CommandSpec> commands{
      {.name = "send", .arguments = "[status|cancel|logs JOB]", .summary = "sends"}};
  EXPECT_EQ(command_words(commands).front().choices, (std::vector<std::string>{"status", "cancel", "logs"}));
}

TEST(Completion, OfEveryShellHoldsEveryOptionAndCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = completion(shell, all_commands());
    const std::string dashes = shell == std::string("fish") ? "-l " : "--";
    for (const OptionSpec& spec : option_table()) {
      EXPECT_NE(script.find(dashes + spec.name), std::string::npos) << shell << " " << spec.name;
    }
    for (const CommandSpec& command : all_commands()) {
      EXPECT_NE(script.find(command.name), std::string::npos) << shell << " " << command.name;
      for (const OwnOption& own : command.options) {
        EXPECT_NE(script.find(dashes + std::string(own.name)), std::string::npos) << shell << " " << own.name;
      }
    }
  }
}

TEST(Completion, OfBashHasNoMarkLeft) {
  const std::string script = bash_completion(all_commands());
  for (const char* mark : {"@COMMANDS@", "@FIRST@", "@SECOND@"}) {
    EXPECT_EQ(script.find(mark), std::string::npos) << mark;
  }
}

TEST(Completion, OfAnotherShellIsAnError) {
  try {
    completion("bsh", all_commands());
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "completion: there is none for 'bsh' (did you mean bash?); shells are: bash, zsh, fish");
  }
}

}  // namespace
}  // namespace dml
