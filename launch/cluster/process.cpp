// Input and output go through unnamed files, so that no pipe can fill while another is read.
#include "launch/cluster/process.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

namespace dml {
namespace {

using UnnamedFile = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

UnnamedFile make_unnamed_file(std::string_view content = "") {
  UnnamedFile file(std::tmpfile(), &std::fclose);
  if (file == nullptr) throw std::system_error(errno, std::generic_category(), "a temporary file");
  std::fwrite(content.data(), 1, content.size(), file.get());
  std::rewind(file.get());
  return file;
}

std::string content_of(const UnnamedFile& file) {
  std::string content;
  std::rewind(file.get());
  char block[4096];
  for (std::size_t size = 0; (size = std::fread(block, 1, sizeof block, file.get())) > 0;) content.append(block, size);
  return content;
}

/// The standard streams of a process that is about to start.
class Streams {
 public:
  Streams(const UnnamedFile& input, const UnnamedFile& output, const UnnamedFile& errors) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, fileno(input.get()), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, fileno(output.get()), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, fileno(errors.get()), STDERR_FILENO);
  }
  ~Streams() { posix_spawn_file_actions_destroy(&actions_); }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
  const posix_spawn_file_actions_t* actions() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

int wait_for(pid_t process) {
  int status = 0;
  while (waitpid(process, &status, 0) < 0) {
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "waiting for a program");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

ProgramResult run_program(const std::vector<std::string>& words, std::string_view input) {
  const UnnamedFile in = make_unnamed_file(input), out = make_unnamed_file(), err = make_unnamed_file();
  const Streams streams(in, out, err);
  std::vector<std::string> copies = words;
  std::vector<char*> arguments;
  for (std::string& word : copies) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t process = 0;
  const int error = posix_spawnp(&process, arguments.front(), streams.actions(), nullptr, arguments.data(), environ);
  if (error == ENOENT) return {.found = false, .output = "", .errors = ""};
  if (error != 0) throw std::system_error(error, std::generic_category(), words.front());
  ProgramResult result;
  result.exit_code = wait_for(process);
  result.output = content_of(out);
  result.errors = content_of(err);
  return result;
}

}  // namespace dml
