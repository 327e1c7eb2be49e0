// HostTable as threads of this process, which talk over its loopback interface.
#include "runtime/comm/host_watch.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace dml {
namespace {

using std::chrono::milliseconds;

/// Watches of hosts a, b, c, ... with two ranks each, connected.
std::vector<std::unique_ptr<HostWatch>> watch_hosts(int num_hosts, milliseconds silence) {
  std::vector<std::string> name_of_rank;
  for (int rank = 0; rank < 2 * num_hosts; ++rank) name_of_rank.emplace_back(1, static_cast<char>('a' + rank / 2));
  std::vector<std::unique_ptr<HostWatch>> watches;
  for (int host = 0; host < num_hosts; ++host) {
    watches.push_back(std::make_unique<HostWatch>(make_hosts(name_of_rank), host, silence));
  }
  std::vector<std::jthread> starts;
  for (auto& watch : watches) starts.emplace_back([&] { watch->start(watches.front()->address()); });
  return watches;
}

/// What a watch throws within two seconds, if it does.
std::optional<LostHostError> error_of(const HostWatch& watch) {
  for (int i = 0; i < 200; ++i) {
    try {
      watch.check();
    } catch (const LostHostError& error) {
      return error;
    }
    std::this_thread::sleep_for(milliseconds(10));
  }
  return std::nullopt;
}

TEST(HostTable, HostsAreNumberedByTheirFirstRanks) {
  const std::vector<std::string> names = {"n2", "n1", "n2", "n1"};
  const HostTable hosts = make_hosts(names);
  EXPECT_EQ(hosts.size(), 2);
  EXPECT_EQ(hosts.of_rank, (std::vector<int>{0, 1, 0, 1}));
  EXPECT_EQ(hosts.first_rank(1), 1);
  EXPECT_EQ(hosts.describe(0), "host n2 (ranks 0, 2)");
}

TEST(HostWatch, SaysNothingWhileAllLiveAndLeaveInOrder) {
  auto watches = watch_hosts(3, milliseconds(400));
  std::this_thread::sleep_for(milliseconds(600));
  for (const auto& watch : watches) EXPECT_NO_THROW(watch->check());
  watches.pop_back();  // says that it leaves
  std::this_thread::sleep_for(milliseconds(200));
  for (const auto& watch : watches) EXPECT_NO_THROW(watch->check());
}

/// A connection to host 0 as `host` opens it, from a process that says nothing more.
int play_host(const WatchAddress& first, std::int64_t host) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = static_cast<in_port_t>(first.port);
  const std::array<std::uint64_t, 2> greeting = {first.secret, static_cast<std::uint64_t>(host)};
  EXPECT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::send(socket, greeting.data(), sizeof greeting, 0), static_cast<ssize_t>(sizeof greeting));
  return socket;
}

/// HostTable a and b, and a c that is only played.
struct WithPlayedHost {
  explicit WithPlayedHost(milliseconds silence) : a(hosts(), 0, silence), b(hosts(), 1, silence) {
    socket = play_host(a.address(), 2);
    const std::jthread start([&] { b.start(a.address()); });
    a.start(a.address());
  }
  ~WithPlayedHost() { ::close(socket); }
  static HostTable hosts() { return make_hosts(std::vector<std::string>{"a", "a", "b", "b", "c", "c"}); }
  HostWatch a, b;
  int socket = -1;
};

TEST(HostWatch, SilentHostIsNamedOnAllHostsAndOneSpeaks) {
  const WithPlayedHost world(milliseconds(300));
  const auto first = error_of(world.a);
  const auto second = error_of(world.b);
  ASSERT_TRUE(first && second);
  EXPECT_STREQ(first->what(), "host c (ranks 4, 5) is lost: nothing was heard from it for 0.3 s");
  EXPECT_STREQ(second->what(), first->what());
  EXPECT_TRUE(first->speaks());
  EXPECT_FALSE(second->speaks());
}

TEST(HostWatch, BrokenConnectionIsNoticedAtOnce) {
  const WithPlayedHost world(milliseconds(60'000));
  EXPECT_NO_THROW(world.a.check());
  ::shutdown(world.socket, SHUT_RDWR);
  const auto error = error_of(world.b);
  ASSERT_TRUE(error);
  EXPECT_STREQ(error->what(), "host c (ranks 4, 5) is lost: its connection broke");
}

}  // namespace
}  // namespace dml
