#include "launch/terminal/terminal.h"

#include <gtest/gtest.h>

#include "launch/terminal/text_table.h"

namespace dml {
namespace {

/// What a Terminal over this display writes while `use` uses it.
template <typename Use>
std::string written(Display display, Use use) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* out = open_memstream(&text, &size);
  {
    Terminal terminal(out, display);
    use(terminal);
  }
  std::fclose(out);
  std::string all(text, size);
  std::free(text);
  return all;
}

TEST(Terminal, LiveLineIsReplacedAndCut) {
  const std::string text = written({true, 6, false}, [](Terminal& terminal) {
    terminal.show_live("step 1 of many");
    terminal.show_live("too soon");
    terminal.print("stays\n");
  });
  EXPECT_EQ(text, "step \r\033[Kstays\n");
}

TEST(Terminal, LiveLineThatIsLeftOverEnds) {
  EXPECT_EQ(written({true, 0, false}, [](Terminal& terminal) { terminal.show_live("step 1"); }), "step 1\n");
}

TEST(Terminal, NoColourWithoutATerminal) {
  EXPECT_EQ(written({}, [](Terminal& terminal) { terminal.print(terminal.style().heading("x") + "\n"); }), "x\n");
}

TEST(Terminal, CutsBetweenCodePoints) {
  EXPECT_EQ(cut_to_width("a\u00b7b", 2), "a\u00b7");
  EXPECT_EQ(cut_to_width("ab", 5), "ab");
  EXPECT_EQ(cut_to_width("ab", 0), "");
}

TEST(TextTable, AlignsByDisplayWidth) {
  TextTable table({{"name", TextTable::Align::left}, {"n"}});
  table.add_row({"p\u00b7t", "1"});
  table.add_row({"x", "1000"});
  EXPECT_EQ(table.to_string({}), "  name     n\n  ----  ----\n  p\u00b7t      1\n  x     1000\n");
  EXPECT_THROW(table.add_row({"only one"}), std::invalid_argument);
}

}  // namespace
}  // namespace dml
