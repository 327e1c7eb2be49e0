#include "runtime/device/device.h"

namespace dml {

void Device::write(void* to, std::size_t bytes, const std::function<void(void*)>& write) {
  if (shares_host_memory()) {
    write(to);
    return;
  }
  std::vector<std::byte> host(bytes);
  write(host.data());
  upload(to, host.data(), bytes);
}

const float* Device::read(const float* x, std::int64_t count, std::vector<float>& room) {
  if (shares_host_memory()) return x;
  room.resize(static_cast<std::size_t>(count));
  download(room.data(), x, room.size() * sizeof(float));
  return room.data();
}

}  // namespace dml
