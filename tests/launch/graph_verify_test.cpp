// `dmltrain graph --verify`: one line and an exit code, and nothing is drawn.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <memory>

#include "launch/commands/graph_command.h"
#include "launch/terminal/terminal.h"
#include "tests/launch/report/graph/small_plan.h"
#include "tests/runtime/data/temporary_folder.h"

namespace dml {
namespace {

TEST(GraphVerify, PrintsWhatIsProvenAndDrawsNothing) {
  const TemporaryFolder folder;
  const CommandSpec spec = graph_command();
  Command command;
  command.spec = &spec;
  command.config = small_config(2, 3, 2);
  command.own = {{"verify", {""}}, {"out", {folder.path("graph")}}};
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);
  Terminal terminal(file.get(), Display{});
  EXPECT_EQ(spec.run(command, terminal), 0);
  EXPECT_FALSE(std::filesystem::exists(folder.path("graph")));
  std::rewind(file.get());
  std::array<char, 512> line{};
  ASSERT_NE(std::fgets(line.data(), static_cast<int>(line.size()), file.get()), nullptr);
  EXPECT_TRUE(std::string(line.data()).starts_with("verified: ")) << line.data();
  EXPECT_NE(std::string(line.data()).find(" tasks on 12 ranks "), std::string::npos) << line.data();
}

}  // namespace
}  // namespace dml
