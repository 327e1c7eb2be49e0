#include "launch/browser.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <array>

namespace dml {

bool open_in_browser(const std::string& path) {
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO})
    posix_spawn_file_actions_addopen(&quiet, stream, "/dev/null", O_WRONLY, 0);
  std::string program = "xdg-open", file = path;
  const std::array<char*, 3> arguments = {program.data(), file.data(), nullptr};
  pid_t process = 0;
  const int error = posix_spawnp(&process, program.c_str(), &quiet, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&quiet);
  return error == 0;
}

}  // namespace dml
