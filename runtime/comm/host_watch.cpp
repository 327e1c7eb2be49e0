#include "runtime/comm/host_watch.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <utility>

namespace dml {

namespace {

using std::chrono::milliseconds;

/// For one address of the first host to answer; the first host waits for all the others longer than that.
constexpr milliseconds kAnswerPatience{500};
constexpr milliseconds kGatherPatience{3000};

/// The first words on a connection, in both directions.
struct Greeting {
  std::uint64_t secret = 0;
  std::int64_t host = 0;
};

sockaddr_in socket_address(std::uint32_t ipv4, std::uint32_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ipv4;
  address.sin_port = static_cast<in_port_t>(port);
  return address;
}

bool becomes_ready(int socket, short event, milliseconds patience) {
  pollfd entry{socket, event, 0};
  return ::poll(&entry, 1, static_cast<int>(std::max(patience.count(), milliseconds::rep{0}))) == 1;
}

/// The interfaces that are up, those of this host alone last.
void list_interfaces(std::array<std::uint32_t, 16>& ipv4) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return;
  std::size_t count = 0;
  for (const bool loopback : {false, true}) {
    for (const ifaddrs* one = all; one != nullptr && count < ipv4.size(); one = one->ifa_next) {
      if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET || (one->ifa_flags & IFF_UP) == 0) continue;
      if (((one->ifa_flags & IFF_LOOPBACK) != 0) != loopback) continue;
      ipv4[count++] = reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr.s_addr;
    }
  }
  ::freeifaddrs(all);
}

std::uint64_t draw_secret() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

bool send_greeting(int socket, const Greeting& greeting) {
  return ::send(socket, &greeting, sizeof greeting, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof greeting);
}

/// What the other side says first; a host below 0 where it is nobody of this run.
int read_greeting(int socket, std::uint64_t secret) {
  Greeting greeting;
  if (!becomes_ready(socket, POLLIN, kAnswerPatience)) return -1;
  if (::recv(socket, &greeting, sizeof greeting, MSG_DONTWAIT) != static_cast<ssize_t>(sizeof greeting)) return -1;
  return greeting.secret == secret ? static_cast<int>(greeting.host) : -1;
}

bool connects(int socket, const sockaddr_in& address) {
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
  if (errno != EINPROGRESS || !becomes_ready(socket, POLLOUT, kAnswerPatience)) return false;
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

int open_socket() { return ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

}  // namespace

HostWatch::HostWatch(HostTable hosts, int host, milliseconds silence)
    : hosts_(std::move(hosts)),
      host_(host),
      silence_(silence),
      beat_(std::clamp(silence / 8, milliseconds{20}, milliseconds{1000})) {
  if (host_ == 0) listen();
}

HostWatch::~HostWatch() {
  leave();
  stopping_.store(true, std::memory_order_release);
  if (wake_ >= 0) ::eventfd_write(wake_, 1);
  if (thread_.joinable()) thread_.join();
  for (const Peer& peer : peers_) ::close(peer.socket);
  if (listener_ >= 0) ::close(listener_);
  if (wake_ >= 0) ::close(wake_);
}

void HostWatch::listen() {
  listener_ = open_socket();
  sockaddr_in address = socket_address(htonl(INADDR_ANY), 0);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, size) != 0 || ::listen(listener_, SOMAXCONN) != 0) return;
  if (::getsockname(listener_, generic, &size) != 0) return;
  address_.port = address.sin_port;
  address_.secret = draw_secret();
  list_interfaces(address_.ipv4);
}

void HostWatch::start(const WatchAddress& first_host) {
  if (first_host.port == 0) return;
  if (host_ == 0) {
    accept_all();
  } else {
    connect_to_first(first_host);
  }
  if (peers_.empty()) return;
  wake_ = ::eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this] { watch(); });
}

void HostWatch::accept_all() {
  const auto end = Clock::now() + kGatherPatience;
  while (static_cast<int>(peers_.size()) < hosts_.size() - 1) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now());
    if (left.count() <= 0 || !becomes_ready(listener_, POLLIN, left)) return;
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) continue;
    const int host = read_greeting(socket, address_.secret);
    if (host > 0 && host < hosts_.size() && send_greeting(socket, {address_.secret, 0})) {
      peers_.push_back({host, socket, Clock::now(), false, 0, {}});
    } else {
      ::close(socket);
    }
  }
}

void HostWatch::connect_to_first(const WatchAddress& first_host) {
  for (const std::uint32_t ipv4 : first_host.ipv4) {
    if (ipv4 == 0) return;
    const int socket = open_socket();
    if (connects(socket, socket_address(ipv4, first_host.port)) && send_greeting(socket, {first_host.secret, host_}) &&
        read_greeting(socket, first_host.secret) == 0) {
      peers_.push_back({0, socket, Clock::now(), false, 0, {}});
      return;
    }
    ::close(socket);
  }
}

void HostWatch::watch() {
  Clock::time_point next_beat = Clock::now();
  while (!stopping_.load(std::memory_order_acquire)) {
    wait_for_words();
    for (Peer& peer : peers_) read(peer);
    const Clock::time_point now = Clock::now();
    if (now >= next_beat) {
      say({Word::alive, host_});
      next_beat = now + beat_;
    }
    for (const Peer& peer : peers_) {
      if (!peer.has_left && now - peer.heard > silence_) report(peer.host, Word::silent);
    }
  }
}

void HostWatch::wait_for_words() const {
  std::vector<pollfd> sockets = {{wake_, POLLIN, 0}};
  for (const Peer& peer : peers_) sockets.push_back({peer.has_left ? -1 : peer.socket, POLLIN, 0});
  ::poll(sockets.data(), sockets.size(), static_cast<int>(beat_.count()));
}

void HostWatch::read(Peer& peer) {
  while (!peer.has_left) {
    auto* const bytes = reinterpret_cast<char*>(&peer.message);
    const ssize_t count =
        ::recv(peer.socket, bytes + peer.received, sizeof(Message) - peer.received, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    if (count <= 0) {
      if (!stopping_.load(std::memory_order_acquire)) report(peer.host, Word::broken);
      peer.has_left = true;
      return;
    }
    peer.heard = Clock::now();
    peer.received += static_cast<std::size_t>(count);
    if (peer.received == sizeof(Message)) obey(peer);
  }
}

void HostWatch::obey(Peer& peer) {
  peer.received = 0;
  switch (peer.message.word) {
    case Word::alive: break;
    case Word::leaving: peer.has_left = true; break;
    case Word::broken:
    case Word::silent: report(peer.message.host, peer.message.word); break;
  }
}

/// The first loss counts; host 0 passes it on.
void HostWatch::report(int host, Word how) {
  if (lost_.load(std::memory_order_relaxed) >= 0) return;
  was_silent_.store(how == Word::silent, std::memory_order_relaxed);
  lost_.store(host, std::memory_order_release);
  if (host_ == 0) say({how, host});
}

void HostWatch::say(Message message) const noexcept {
  for (const Peer& peer : peers_) {
    // A peer that does not take it is about to be found lost.
    static_cast<void>(::send(peer.socket, &message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL));
  }
}

void HostWatch::leave() noexcept { say({Word::leaving, host_}); }

void HostWatch::throw_lost() const {
  const int lost = lost_.load(std::memory_order_acquire);
  const std::string how =
      was_silent_.load(std::memory_order_relaxed)
          ? fmt::format("nothing was heard from it for {:g} s", static_cast<double>(silence_.count()) / 1e3)
          : std::string("its connection broke");
  const int first_left = lost == 0 ? 1 : 0;
  throw LostHostError(fmt::format("{} is lost: {}", hosts_.describe(lost), how), host_ == first_left);
}

}  // namespace dml
