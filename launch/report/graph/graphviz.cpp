#include "launch/report/graph/graphviz.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "kernels/error.h"

namespace dml {
namespace {

constexpr int kNotFound = 127;  // of a shell that finds no such program

/// A file of the given parts that is gone when this is. Each begins a line: Graphviz 14 passes over a graph that does
/// not.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::vector<std::string>& parts)
      : path_((std::filesystem::temp_directory_path() / "dmltrain-XXXXXX").string()) {
    const int descriptor = mkstemp(path_.data());
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(descriptor < 0 ? nullptr : fdopen(descriptor, "w"),
                                                               &std::fclose);
    bool is_whole = file != nullptr;
    for (const std::string& part : parts) {
      is_whole = is_whole && std::fwrite(part.data(), 1, part.size(), file.get()) == part.size() &&
                 std::fputc('\n', file.get()) != EOF;
    }
    if (!is_whole || std::fflush(file.get()) != 0)
      throw IoError(fmt::format("the temporary file '{}' cannot be written", path_));
  }
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// What the shell command writes, and its exit code.
std::pair<std::string, int> output_of(const std::string& command) {
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) throw IoError("no process can be started for Graphviz");
  std::string output;
  std::array<char, 65536> buffer{};
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
    output.append(buffer.data(), count);
  const int status = pclose(pipe);
  return {std::move(output), WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

/// Several documents that stand behind each other.
std::vector<std::string> documents_of(const std::string& text) {
  constexpr std::string_view kBegin = "<?xml";
  std::vector<std::string> documents;
  std::size_t begin = text.find(kBegin);
  while (begin != std::string::npos) {
    const std::size_t end = text.find(kBegin, begin + 1);
    documents.push_back(text.substr(begin, end == std::string::npos ? end : end - begin));
    begin = end;
  }
  return documents;
}

}  // namespace

std::vector<std::string> layout_graphs(const std::vector<std::string>& graphs, const std::string& program) {
  if (graphs.empty()) return {};
  const TemporaryFile file(graphs);
  const auto [output, code] = output_of(fmt::format("{} -Tsvg '{}' 2>/dev/null", program, file.path()));
  if (code == kNotFound) {
    throw IoError(
        fmt::format("Graphviz is missing: there is no program '{}' in PATH; install the package graphviz "
                    "(launch/setup does), or leave out --emit svg",
                    program));
  }
  std::vector<std::string> documents = documents_of(output);
  if (code != 0 || documents.size() != graphs.size()) {
    throw IoError(fmt::format("Graphviz ('{}', exit code {}) laid out {} of {} pages", program, code, documents.size(),
                              graphs.size()));
  }
  return documents;
}

}  // namespace dml
