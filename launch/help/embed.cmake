# Writes OUT, a C++ source that holds the Markdown FILES as dml::help_topics(). Run by cmake -P.
set(rows "")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} text)
  string(APPEND rows "    {\"${name}\", R\"~md~(${text})~md~\"},\n")
endforeach()
file(WRITE ${OUT} "#include \"launch/help/topics.h\"

namespace dml {
namespace {
constexpr HelpTopic kTopics[] = {
${rows}};
}  // namespace

std::span<const HelpTopic> help_topics() { return kTopics; }

}  // namespace dml
")
