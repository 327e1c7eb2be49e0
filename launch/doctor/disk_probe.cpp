#include "launch/doctor/disk_probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <vector>

namespace dml {
namespace {

constexpr std::int64_t kMostBytes = std::int64_t{64} << 20;
constexpr std::size_t kBlockBytes = std::size_t{8} << 20;
constexpr double kMostSeconds = 3;

/// A file that is gone when this is.
class ScratchFile {
 public:
  explicit ScratchFile(std::string path)
      : path_(std::move(path)),
        descriptor_(open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR)) {}
  ~ScratchFile() {
    if (descriptor_ < 0) return;
    close(descriptor_);
    unlink(path_.c_str());
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  int descriptor() const { return descriptor_; }

 private:
  std::string path_;
  int descriptor_;
};

std::string existing_folder(const std::string& folder) {
  std::filesystem::path path = std::filesystem::absolute(folder);
  while (!std::filesystem::is_directory(path) && path.has_relative_path()) path = path.parent_path();
  return path.string();
}

/// Bytes a second of writing up to `bytes` and bringing them to the disk; negative where it fails, with errno.
double write_speed(int descriptor, std::int64_t bytes) {
  using Clock = std::chrono::steady_clock;
  const std::vector<char> block(kBlockBytes, 'd');
  const Clock::time_point begin = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  std::int64_t written = 0;
  do {
    const ssize_t part = write(descriptor, block.data(), block.size());
    if (part < 0) return -1;
    written += part;
    if (fsync(descriptor) != 0) return -1;
  } while (written < bytes && seconds() < kMostSeconds);
  return static_cast<double>(written) / std::max(seconds(), 1e-9);
}

}  // namespace

DiskFacts probe_disk(const std::string& folder) {
  DiskFacts disk;
  disk.folder = existing_folder(folder);
  struct statvfs system {};
  if (statvfs(disk.folder.c_str(), &system) == 0)
    disk.free_bytes = static_cast<std::int64_t>(system.f_bavail * system.f_frsize);
  const ScratchFile file(fmt::format("{}/.dmltrain-doctor-{}", disk.folder, getpid()));
  const double speed =
      file.descriptor() < 0 ? -1 : write_speed(file.descriptor(), std::min(kMostBytes, disk.free_bytes / 2));
  if (speed < 0) {
    disk.failure = fmt::format("cannot be written: {}", std::strerror(errno));
  } else {
    disk.write_bytes_per_s = speed;
  }
  return disk;
}

}  // namespace dml
