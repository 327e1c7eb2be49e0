#include "launch/report/page/page_file.h"

#include <algorithm>

namespace dml {

std::string filled_page(std::string_view name, const std::vector<std::pair<std::string, std::string>>& words) {
  std::string_view rest = page_file(name);
  std::string page;
  for (std::size_t begin = rest.find("{{"); begin != std::string_view::npos; begin = rest.find("{{")) {
    const std::size_t end = rest.find("}}", begin);
    const std::string_view key = rest.substr(begin + 2, end - begin - 2);
    const auto word = std::find_if(words.begin(), words.end(), [&](const auto& known) { return known.first == key; });
    page += rest.substr(0, begin);
    page += word != words.end() ? word->second : filled_page(key, words);
    rest.remove_prefix(end + 2);
  }
  return page.append(rest);
}

std::string json_for_page(std::string_view json) {
  std::string text;
  text.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      text += "\\u003c";
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace dml
