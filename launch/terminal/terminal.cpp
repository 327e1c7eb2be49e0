#include "launch/terminal/terminal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace dml {
namespace {

constexpr std::chrono::milliseconds kLiveInterval{100};

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

int width_of(int descriptor) {
  winsize size{};
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace

Display display_of_stdout(bool under_launcher) {
  Display display;
  if (isatty(STDOUT_FILENO) == 0) return display;
  int descriptor = STDOUT_FILENO;
  if (under_launcher) {
    const std::string path = fmt::format("/proc/{}/fd/1", getppid());
    descriptor = open(path.c_str(), O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  }
  if (descriptor >= 0 && isatty(descriptor) != 0) {
    display.terminal = !(std::getenv("TERM") != nullptr && std::string_view(std::getenv("TERM")) == "dumb");
    display.width = width_of(descriptor);
    display.colour = display.terminal && !is_set("NO_COLOR");
  }
  if (descriptor > STDERR_FILENO) close(descriptor);
  return display;
}

std::string_view cut_to_width(std::string_view text, std::size_t columns) {
  std::size_t end = 0;
  for (std::size_t column = 0; end < text.size() && column < columns; ++column) {
    ++end;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
  }
  return text.substr(0, end);
}

Terminal::~Terminal() {
  if (live_shown_) std::fputs("\n", out_);
  std::fflush(out_);
}

void Terminal::clear_live() {
  if (live_shown_) std::fputs("\r\033[K", out_);
  live_shown_ = false;
}

void Terminal::print(std::string_view text) {
  clear_live();
  std::fwrite(text.data(), 1, text.size(), out_);
  std::fflush(out_);
}

void Terminal::show_live(std::string_view line) {
  const auto now = std::chrono::steady_clock::now();
  if (now - last_shown_ < kLiveInterval) return;
  last_shown_ = now;
  clear_live();
  if (display_.width > 1) line = cut_to_width(line, static_cast<std::size_t>(display_.width - 1));
  std::fwrite(line.data(), 1, line.size(), out_);
  std::fflush(out_);
  live_shown_ = true;
}

}  // namespace dml
