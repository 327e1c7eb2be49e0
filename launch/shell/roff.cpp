#include "launch/shell/roff.h"

#include <fmt/format.h>

#include <algorithm>

namespace dml {
namespace {

/// What roff would take for a command, or print as another character.
std::string_view roff_name(char c) {
  switch (c) {
    case '\\': return "\\e";
    case '-': return "\\-";
    case '\'': return "\\(aq";
    case '`': return "\\(ga";
    case '^': return "\\(ha";
    case '~': return "\\(ti";
    case '"': return "\\(dq";
    default: return "";
  }
}

/// The code point at the beginning of UTF-8 text, which is taken off it.
char32_t take_code_point(std::string_view& text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = byte(0) < 0xC0 ? 1 : byte(0) < 0xE0 ? 2 : byte(0) < 0xF0 ? 3 : 4;
  char32_t point = length == 1 ? byte(0) : byte(0) & (0x7Fu >> length);
  for (std::size_t i = 1; i < length && i < text.size(); ++i) point = point << 6 | (byte(i) & 0x3Fu);
  text.remove_prefix(std::min(length, text.size()));
  return point;
}

std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const char c = text.front();
    const char32_t point = take_code_point(text);
    const std::string_view name = roff_name(c);
    if (point >= 0x80) {
      out += fmt::format("\\[u{:04X}]", static_cast<std::uint32_t>(point));
    } else if (name.empty()) {
      out += c;
    } else {
      out += name;
    }
  }
  return out;
}

/// `code` and **strong** in bold.
std::string roff_inline(std::string_view line) {
  std::string out;
  while (!line.empty()) {
    const bool code = line.front() == '`';
    const std::string_view mark = code ? "`" : "**";
    const std::size_t end = line.starts_with(mark) ? line.find(mark, mark.size()) : std::string_view::npos;
    if (end != std::string_view::npos) {
      out += "\\fB" + escaped(line.substr(mark.size(), end - mark.size())) + "\\fR";
      line.remove_prefix(end + mark.size());
      continue;
    }
    const std::size_t next = std::min(line.find_first_of("`*", 1), line.size());
    out += escaped(line.substr(0, next));
    line.remove_prefix(next);
  }
  return out;
}

/// A line of text does not begin with what makes it a request.
std::string protected_line(std::string line) { return line.starts_with('.') ? "\\&" + line : line; }

/// Writes roff line by line; lines as they stand are between .EX and .EE.
class MarkdownReader {
 public:
  std::string read(std::string_view markdown) {
    while (!markdown.empty()) {
      const std::size_t end = std::min(markdown.find('\n'), markdown.size());
      take(markdown.substr(0, end));
      markdown.remove_prefix(std::min(end + 1, markdown.size()));
    }
    stand_as_written(false);
    return std::move(out_);
  }

 private:
  void take(std::string_view line) {
    if (line.starts_with("```")) {
      fenced_ = !fenced_;
      stand_as_written(fenced_);
    } else if (fenced_ || line.starts_with('|') || (after_blank_or_code_ && line.starts_with("    "))) {
      stand_as_written(true);
      out_ += protected_line(escaped(line)) + "\n";
    } else {
      stand_as_written(false);
      take_text(line);
    }
    after_blank_or_code_ = line.empty() || written_;
  }

  void take_text(std::string_view line) {
    if (line.starts_with("# ")) return;
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    if (line.starts_with("## ")) {
      out_ += ".SS " + escaped(line.substr(3)) + "\n";
      begins_paragraph_ = false;
    } else if (line.starts_with("- ")) {
      out_ += ".IP \\(bu 2\n" + protected_line(roff_inline(line.substr(2))) + "\n";
      begins_paragraph_ = false;
    } else if (line.empty()) {
      begins_paragraph_ = !out_.empty();
    } else {
      if (begins_paragraph_) out_ += ".PP\n";
      begins_paragraph_ = false;
      out_ += protected_line(roff_inline(line)) + "\n";
    }
  }

  void stand_as_written(bool on) {
    if (on == written_) return;
    out_ += on ? ".PP\n.EX\n" : ".EE\n";
    written_ = on;
  }

  std::string out_;
  bool fenced_ = false;
  bool written_ = false;
  bool begins_paragraph_ = false;  ///< a blank line came, and no text since
  bool after_blank_or_code_ = true;
};

}  // namespace

std::string roff_text(std::string_view text) { return protected_line(escaped(text)); }

std::string roff_of_markdown(std::string_view markdown) { return MarkdownReader().read(markdown); }

}  // namespace dml
