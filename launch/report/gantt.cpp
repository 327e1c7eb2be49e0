#include "launch/report/gantt.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace dml {
namespace {

struct Look {
  char letter;
  std::string_view meaning;
  std::string_view colour;  ///< of the terminal: black on it
};

constexpr std::array kLooks{
    Look{'F', "forward", "30;44"},         Look{'B', "backward", "30;42"},
    Look{'I', "input gradients", "30;46"}, Look{'W', "weight gradients", "30;43"},
    Look{'X', "F and B at once", "30;45"},
};

const Look& look_of(const Action& action) {
  if (action.with_next) return kLooks[4];
  if (action.phase == Phase::forward) return kLooks[0];
  if (action.phase == Phase::weight_grad) return kLooks[3];
  return kLooks[action.fused ? 1 : 2];
}

std::string coloured(std::string_view text, const Look& look, Style style) {
  return style.colour ? fmt::format("\033[{}m{}\033[0m", look.colour, text) : std::string(text);
}

/// A pass in `width` columns: its label, then dashes. A number that does not fit is left out.
std::string bar(const Action& action, std::size_t width) {
  const Look& look = look_of(action);
  std::string text = fmt::format("{}{}", look.letter, action.microbatch);
  if (text.size() > width) text = std::string(1, look.letter);
  text.resize(width, '-');
  return text;
}

std::string row(std::span<const TimedAction> actions, double scale, std::size_t columns, Style style) {
  std::string text;
  std::size_t at = 0;
  const auto column = [&](double time) {
    return std::min(columns, static_cast<std::size_t>(std::lround(time * scale)));
  };
  for (std::size_t i = 0; i < actions.size(); ++i) {
    if (i > 0 && actions[i - 1].action.with_next) continue;  // drawn with the forward of its pair
    const std::size_t begin = std::max(at, column(actions[i].start));
    const std::size_t end = column(actions[i].end);
    text.append(begin - at, '.');
    at = begin;
    if (end <= begin) continue;
    text += coloured(bar(actions[i].action, end - begin), look_of(actions[i].action), style);
    at = end;
  }
  return text.append(columns - at, '.');
}

}  // namespace

std::string gantt_text(const ScheduleTimes& times, double duration, int width, Style style, int max_rows) {
  const int num_rows = static_cast<int>(times.positions.size());
  const std::size_t label = fmt::formatted_size("{}", num_rows - 1);
  const auto columns = static_cast<std::size_t>(std::max(20, width - 4 - static_cast<int>(label)));
  const double scale = duration > 0 ? static_cast<double>(columns) / duration : 0;
  std::string text;
  auto begin = times.actions.begin();
  for (int i = 0; i < std::min(num_rows, max_rows); ++i) {
    const auto end = std::find_if(begin, times.actions.end(), [&](const TimedAction& a) { return a.position != i; });
    text += fmt::format("  {:>{}}  {}\n", i, label, row({begin, end}, scale, columns, style));
    begin = end;
  }
  if (num_rows > max_rows) text += fmt::format("  and {} more devices\n", num_rows - max_rows);
  return text;
}

std::string gantt_legend(Style style) {
  std::string text = " ";
  for (const Look& look : kLooks)
    text += fmt::format(" {} {} ", coloured(std::string(1, look.letter), look, style), look.meaning);
  return text + " . waits\n";
}

}  // namespace dml
