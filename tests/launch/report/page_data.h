// What a page holds for its scripts.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace dml::test {

/// The JSON of the page's element <script id="`id`">.
inline nlohmann::json page_data(const std::string& page, const std::string& id) {
  const std::string begin = "<script type=\"application/json\" id=\"" + id + "\">";
  const std::size_t from = page.find(begin) + begin.size();
  return nlohmann::json::parse(page.substr(from, page.find("</script>", from) - from));
}

}  // namespace dml::test
