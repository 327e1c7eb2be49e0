// Links that are made slow, between threads as ranks.
#include "runtime/comm/shaped_transport.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

namespace dml {
namespace {

using Seconds = std::chrono::duration<double>;

/// Seconds that `body` takes on the slowest of the ranks, all of which begin together.
double seconds_of(int size, const LinkShape& shape, const std::function<void(Communicator&)>& body) {
  CommOptions options;
  options.shape = shape;
  const auto world = make_thread_world(size, options);
  std::vector<double> seconds(world.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t r = 0; r < world.size(); ++r) {
      threads.emplace_back([&, r] {
        world[r]->wait(world[r]->barrier());
        const auto begin = std::chrono::steady_clock::now();
        body(*world[r]);
        seconds[r] = Seconds(std::chrono::steady_clock::now() - begin).count();
      });
    }
  }
  return *std::max_element(seconds.begin(), seconds.end());
}

/// Sends `count` messages of `floats` from the first rank to `peer`.
void send_all(Communicator& comm, int peer, int count, std::int64_t floats) {
  if (comm.rank() != 0 && comm.rank() != peer) return;
  std::vector<float> data(static_cast<std::size_t>(floats * count));
  std::vector<Ticket> tickets;
  for (int i = 0; i < count; ++i) {
    const TensorView part{data.data() + i * floats, DataType::f32, Shape{floats}};
    tickets.push_back(comm.rank() == 0 ? comm.send(part, peer, 0) : comm.receive(part, 0, 0));
  }
  for (const Ticket ticket : tickets) comm.wait(ticket);
}

TEST(ShapedTransport, LatencyAndRateDelayMessagesBetweenIslands) {
  const LinkShape shape{0.02, 1e6, {0, 1, 0}};
  const double across = seconds_of(3, shape, [](Communicator& comm) { send_all(comm, 1, 1, 10'000); });
  EXPECT_GT(across, 0.06);  // 20 ms, and 40 KB at 1 MB/s
  const double within = seconds_of(3, shape, [](Communicator& comm) { send_all(comm, 2, 1, 10'000); });
  EXPECT_LT(within, 0.06);
}

TEST(ShapedTransport, MessagesShareTheRateAndOverlapTheLatency) {
  const LinkShape shape{0.03, 1e6, {0, 1}};
  const double seconds = seconds_of(2, shape, [](Communicator& comm) { send_all(comm, 1, 4, 2'500); });
  EXPECT_GT(seconds, 0.07);  // 30 ms once, and 4 times 10 KB
  EXPECT_LT(seconds, 0.15);  // not four times the latency
}

TEST(ShapedTransport, SumsStayWhatTheyAre) {
  const LinkShape shape{0.001, 1e8, {0, 0, 1, 1}};
  seconds_of(4, shape, [](Communicator& comm) {
    for (const std::int64_t floats : {3, 100'000}) {
      std::vector<float> data(static_cast<std::size_t>(floats), static_cast<float>(comm.rank() + 1));
      comm.wait(comm.all_reduce({data.data(), DataType::f32, Shape{floats}}));
      EXPECT_EQ(std::accumulate(data.begin(), data.end(), 0.0), 10.0 * static_cast<double>(floats));
    }
  });
}

TEST(ShapedTransport, LinksThatDoNotExistAreRefused) {
  CommOptions options;
  options.shape = LinkShape{0.001, 1e9, {}};
  EXPECT_THROW(make_thread_world(2, options), std::invalid_argument);  // by host, and there is one
  options.shape->island = {0, 0};
  EXPECT_THROW(make_thread_world(2, options), std::invalid_argument);
}

}  // namespace
}  // namespace dml
