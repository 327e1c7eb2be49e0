#include "launch/trace/pass_name.h"

#include <array>
#include <cctype>
#include <charconv>
#include <string>
#include <utility>

namespace dml {
namespace {

constexpr std::array<std::pair<std::string_view, Phase>, 9> kWords{{{"f", Phase::forward},
                                                                    {"forward", Phase::forward},
                                                                    {"b", Phase::input_grad},
                                                                    {"bw", Phase::input_grad},
                                                                    {"backward", Phase::input_grad},
                                                                    {"i", Phase::input_grad},
                                                                    {"w", Phase::weight_grad},
                                                                    {"weight", Phase::weight_grad},
                                                                    {"backward_weight", Phase::weight_grad}}};

/// Takes numbers and words from the front of a text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool at_end() const { return text_.empty(); }
  bool at_digit() const { return !text_.empty() && std::isdigit(static_cast<unsigned char>(text_.front())) != 0; }

  bool take(std::string_view prefix) {
    if (!text_.starts_with(prefix)) return false;
    text_.remove_prefix(prefix.size());
    return true;
  }
  bool take_separator() { return take("-") || take(" ") || take("_"); }

  /// Empty where there is none, or one beyond an int.
  std::optional<int> number() {
    int value = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (!at_digit() || error != std::errc{}) return std::nullopt;
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    return value;
  }

  /// Letters and underscores between them, in lower case.
  std::optional<Phase> phase() {
    std::size_t length = 0;
    std::string word;
    while (length < text_.size() && (std::isalpha(static_cast<unsigned char>(text_[length])) != 0 ||
                                     (text_[length] == '_' && length + 1 < text_.size() &&
                                      std::isalpha(static_cast<unsigned char>(text_[length + 1])) != 0)))
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(text_[length++])));
    for (const auto& [known, phase] : kWords) {
      if (known != word) continue;
      text_.remove_prefix(length);
      return phase;
    }
    return std::nullopt;
  }

 private:
  std::string_view text_;
};

/// "0F3": stage, phase, microbatch.
std::optional<PassName> parse_action(Scanner text) {
  const std::optional<int> stage = text.number();
  const std::optional<Phase> phase = text.phase();
  const std::optional<int> microbatch = text.number();
  if (!stage || !phase || !microbatch || !text.at_end()) return std::nullopt;
  return PassName{.phase = *phase, .microbatch = *microbatch, .stage = stage};
}

/// "forward-3", "Forward 3", and with the chunk before the microbatch "forward-1-3".
std::optional<PassName> parse_label(Scanner text) {
  const std::optional<Phase> phase = text.phase();
  if (!phase || !text.take_separator()) return std::nullopt;
  const std::optional<int> first = text.number();
  if (!first) return std::nullopt;
  if (text.at_end()) return PassName{.phase = *phase, .microbatch = *first};
  if (!text.take_separator()) return std::nullopt;
  const std::optional<int> second = text.number();
  if (!second || !text.at_end()) return std::nullopt;
  return PassName{.phase = *phase, .microbatch = *second, .chunk = first};
}

}  // namespace

std::optional<PassName> parse_pass_name(std::string_view name) {
  Scanner text(name);
  text.take("PP:");
  return text.at_digit() ? parse_action(text) : parse_label(text);
}

std::optional<PassName> pass_of_task(std::string_view id) {
  Scanner text(id);
  const std::optional<Phase> phase = text.phase();
  if (!phase || !text.take(".m")) return std::nullopt;
  const std::optional<int> microbatch = text.number();
  if (!microbatch || !text.take(".s")) return std::nullopt;
  const std::optional<int> stage = text.number();
  if (!stage || !text.take(".d")) return std::nullopt;
  return PassName{.phase = *phase, .microbatch = *microbatch, .stage = stage};
}

}  // namespace dml
