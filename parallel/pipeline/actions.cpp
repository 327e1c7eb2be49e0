#include "parallel/pipeline/actions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <stdexcept>

#include "parallel/pipeline/action_lists.h"

namespace dml {
namespace {

using Kind = ListedAction::Kind;
constexpr std::string_view kOverlap = "OVERLAP_F_B";
constexpr int kLargest = 999'999;

std::string line_of(const ActionList& list) {
  std::string line;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!line.empty()) line += ',';
    if (list[i].kind == Kind::pass && list[i].action.with_next) {
      line += fmt::format("({};{}){}", list[i].to_string(), list[i + 1].to_string(), kOverlap);
      ++i;
    } else {
      line += list[i].to_string();
    }
  }
  return line + "\n";
}

struct Operation {
  std::string_view letters;
  Kind kind;
  Phase phase;
  bool fused = true;
};

constexpr std::array kOperations{
    Operation{"F", Kind::pass, Phase::forward},
    Operation{"B", Kind::pass, Phase::input_grad},
    Operation{"BW", Kind::pass, Phase::input_grad},
    Operation{"I", Kind::pass, Phase::input_grad, false},
    Operation{"W", Kind::pass, Phase::weight_grad},
    Operation{"SEND_F", Kind::send, Phase::forward},
    Operation{"RECV_F", Kind::receive, Phase::forward},
    Operation{"SEND_B", Kind::send, Phase::input_grad},
    Operation{"RECV_B", Kind::receive, Phase::input_grad},
};

/// Reads the cells of one line.
class LineParser {
 public:
  explicit LineParser(int line) : line_(line) {}

  ActionList parse(std::string_view text) const {
    ActionList list;
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t end = std::min(text.find(',', begin), text.size());
      const std::string_view cell = trimmed(text.substr(begin, end - begin));
      if (!cell.empty()) add_cell(list, cell);
      begin = end + 1;
    }
    return list;
  }

 private:
  static std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
  }

  [[noreturn]] void fail(std::string_view cell, std::string_view what) const {
    throw std::invalid_argument(fmt::format("[schedule] line {}: '{}' {}", line_, cell, what));
  }

  void add_cell(ActionList& list, std::string_view cell) const {
    if (cell.front() != '(') {
      list.push_back(parse_action(cell));
      return;
    }
    constexpr std::string_view kExpected = "is no overlapped pair such as (0F7;7B3)OVERLAP_F_B";
    const std::size_t semicolon = cell.find(';');
    const std::size_t close = cell.find(')');
    if (semicolon == std::string_view::npos || close == std::string_view::npos || close < semicolon ||
        cell.substr(close + 1) != kOverlap)
      fail(cell, kExpected);
    ListedAction forward = parse_action(cell.substr(1, semicolon - 1));
    const ListedAction backward = parse_action(cell.substr(semicolon + 1, close - semicolon - 1));
    if (forward.kind != Kind::pass || backward.kind != Kind::pass) fail(cell, kExpected);
    forward.action.with_next = true;
    list.insert(list.end(), {forward, backward});
  }

  ListedAction parse_action(std::string_view cell) const {
    const char* const end = cell.data() + cell.size();
    ListedAction result;
    const auto stage = std::from_chars(cell.data(), end, result.action.stage);
    const char* letters_end = stage.ptr;
    while (letters_end != end && (*letters_end < '0' || *letters_end > '9')) ++letters_end;
    const std::string_view letters(stage.ptr, static_cast<std::size_t>(letters_end - stage.ptr));
    const auto microbatch = std::from_chars(letters_end, end, result.action.microbatch);
    const auto* operation =
        std::find_if(kOperations.begin(), kOperations.end(), [&](const Operation& o) { return o.letters == letters; });
    if (stage.ec != std::errc{} || microbatch.ec != std::errc{} || microbatch.ptr != end ||
        operation == kOperations.end())
      fail(cell, "is no action such as 0F3, 1B2, 1I2, 1W2, 0SEND_F3 or 1RECV_F3");
    if (result.action.stage < 0 || result.action.stage > kLargest || result.action.microbatch > kLargest)
      fail(cell, fmt::format("is beyond stage or microbatch {}", kLargest));
    result.kind = operation->kind;
    result.action.phase = operation->phase;
    result.action.fused = operation->fused;
    return result;
  }

  int line_;
};

std::vector<ActionList> parse_lines(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  std::vector<ActionList> lists;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lists.push_back(LineParser(static_cast<int>(lists.size()) + 1).parse(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return lists;
}

/// "B" is half a backward pass where there is a "W" of it.
void split_backwards(std::vector<ActionList>& lists) {
  std::set<std::pair<int, int>> apart;
  for (const ActionList& list : lists) {
    for (const auto& [kind, a] : list) {
      if (kind == Kind::pass && a.phase == Phase::weight_grad) apart.emplace(a.stage, a.microbatch);
    }
  }
  for (ActionList& list : lists) {
    for (auto& [kind, a] : list) {
      if (a.phase == Phase::input_grad && apart.contains({a.stage, a.microbatch})) a.fused = false;
    }
  }
}

std::vector<Order> passes_of(const std::vector<ActionList>& lists) {
  std::vector<Order> orders;
  for (const ActionList& list : lists) {
    Order& order = orders.emplace_back();
    for (const auto& [kind, action] : list) {
      if (kind == Kind::pass) order.push_back(action);
    }
  }
  return orders;
}

/// The position that each stage's passes stand at. Throws where a stage has none, or several.
std::vector<int> positions_of(const std::vector<Order>& orders) {
  std::map<int, int> position_of;
  for (std::size_t position = 0; position < orders.size(); ++position) {
    for (const Action& a : orders[position]) {
      const auto [entry, is_first] = position_of.emplace(a.stage, static_cast<int>(position));
      if (!is_first && entry->second != static_cast<int>(position)) {
        throw std::invalid_argument(fmt::format("[schedule] line {}: {}: stage {} is that of line {}", position + 1,
                                                a.to_string(), a.stage, entry->second + 1));
      }
    }
  }
  std::vector<int> positions;
  for (const auto& [stage, position] : position_of) {
    if (stage != static_cast<int>(positions.size()))
      throw std::invalid_argument(fmt::format("[schedule] there is no pass of stage {}", positions.size()));
    positions.push_back(position);
  }
  return positions;
}

Placement placement_of(const std::vector<Order>& orders) {
  const std::vector<int> positions = positions_of(orders);
  const int num_positions = static_cast<int>(orders.size());
  const int num_stages = static_cast<int>(positions.size());
  if (num_stages == 0) throw std::invalid_argument("[schedule] there is no pass at all");
  if (num_stages % num_positions != 0) {
    throw std::invalid_argument(
        fmt::format("[schedule] {} stages do not divide over {} positions", num_stages, num_positions));
  }
  for (const auto kind : {Placement::Kind::block, Placement::Kind::interleaved, Placement::Kind::v_shape}) {
    Placement placement(num_positions, num_stages / num_positions, kind);
    bool same = true;
    for (int stage = 0; stage < num_stages; ++stage)
      same = same && placement.position(stage) == positions[static_cast<std::size_t>(stage)];
    if (same) return placement;
  }
  throw std::invalid_argument("[schedule] the stages stand neither in blocks nor in turn nor in a V");
}

int count_microbatches(const std::vector<Order>& orders) {
  int last = 0;
  for (const Order& order : orders) {
    for (const Action& a : order) last = std::max(last, a.microbatch);
  }
  return last + 1;
}

}  // namespace

std::string passes_text(std::span<const Order> orders) {
  std::string text;
  for (const Order& order : orders) {
    ActionList list;
    for (const Action& action : order) list.push_back({Kind::pass, action});
    text += line_of(list);
  }
  return text;
}

std::string actions_text(std::span<const Order> orders, const Placement& placement, int microbatches, int copies) {
  std::string text;
  const StageLinks links(placement.num_stages(), microbatches, copies);
  for (const ActionList& list : with_transfers(orders, placement, links)) text += line_of(list);
  return text;
}

ParsedSchedule parse_actions(std::string_view text) {
  std::vector<ActionList> lists = parse_lines(text);
  split_backwards(lists);
  std::vector<Order> orders = passes_of(lists);
  const Placement placement = placement_of(orders);
  const int microbatches = count_microbatches(orders);
  validate(orders, placement, microbatches);
  const bool has_transfers = std::any_of(lists.begin(), lists.end(), [](const ActionList& list) {
    return std::any_of(list.begin(), list.end(), [](const ListedAction& a) { return a.kind != Kind::pass; });
  });
  if (has_transfers) check_transfers(lists, placement, StageLinks(placement.num_stages(), microbatches, 1));
  return {placement, microbatches, std::move(orders)};
}

}  // namespace dml
