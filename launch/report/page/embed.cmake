# Writes OUT, a C++ source that holds the FILES of pages as dml::page_file(). Run by cmake -P.
set(rows "")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  string(APPEND rows "    {\"${name}\", R\"~page~(${text})~page~\"},\n")
endforeach()
file(WRITE ${OUT} "#include \"launch/report/page/page_file.h\"

#include <utility>

#include \"kernels/error.h\"

namespace dml {
namespace {
constexpr std::pair<std::string_view, std::string_view> kFiles[] = {
${rows}};
}  // namespace

std::string_view page_file(std::string_view name) {
  for (const auto& [known, text] : kFiles) {
    if (known == name) return text;
  }
  throw InternalError(\"no page file \" + std::string(name));
}

}  // namespace dml
")
