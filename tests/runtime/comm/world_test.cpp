// Ranks as threads: the bodies that every communicator must pass, deadlines, and failures.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "kernels/error.h"
#include "tests/runtime/comm/world_bodies.h"

namespace dml {
namespace {

using test::view_of;
using test::World;

/// Runs `body` on every rank of a world of threads; returns what each threw, or "". A rank that throws fails the world.
std::vector<std::string> run_world(int size, const std::function<void(Communicator&)>& body, CommOptions options = {}) {
  auto ranks = make_thread_world(size, options);
  std::vector<std::string> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    threads.emplace_back([&, r] {
      try {
        body(*ranks[r]);
      } catch (const std::exception& error) {
        errors[r] = error.what();
        ranks[r]->fail(error.what());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

class ThreadWorldTest : public testing::TestWithParam<std::tuple<test::WorldBody, int>> {};

TEST_P(ThreadWorldTest, Passes) {
  const auto& [body, size] = GetParam();
  const auto errors = run_world(size, [&](Communicator& comm) { body.run({comm}); });
  for (std::size_t r = 0; r < errors.size(); ++r) EXPECT_EQ(errors[r], "") << "on rank " << r;
}

INSTANTIATE_TEST_SUITE_P(Comm, ThreadWorldTest,
                         testing::Combine(testing::ValuesIn(test::world_bodies()), testing::Values(1, 2, 3, 4, 7, 8)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) + "_" +
                                  std::to_string(std::get<1>(info.param));
                         });

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(ThreadWorld, DeadlineNamesOperationShapeAndMissingPeers) {
  CommOptions options;
  options.deadline = std::chrono::milliseconds(50);
  const auto errors = run_world(
      4,
      [](Communicator& comm) {
        std::vector<float> data(128);
        if (comm.rank() == 2) return;
        comm.wait(comm.all_reduce({data.data(), DataType::f32, {16, 8}}));
      },
      options);
  EXPECT_EQ(errors[2], "");
  for (const std::size_t r : {0U, 1U, 3U}) {
    if (contains(errors[r], "failed: "))
      continue;  // of the ranks that wait, the first to lose patience tells the others
    EXPECT_TRUE(contains(errors[r], "[all_reduce] rank " + std::to_string(r) + " waited ")) << errors[r];
    EXPECT_TRUE(contains(errors[r], "for 16x8 f32 from rank 2 (group of ranks 0, 1, 2, 3)")) << errors[r];
  }
}

TEST(ThreadWorld, DeadlineOfSendNamesReceiver) {
  CommOptions options;
  options.deadline = std::chrono::milliseconds(20);
  const auto errors = run_world(
      2,
      [](Communicator& comm) {
        std::vector<float> data(5);
        if (comm.rank() == 1) return;
        try {
          comm.wait(comm.send(view_of(data), 1, 3));
        } catch (const TimeoutError&) {
          throw;
        } catch (const std::exception& error) {
          throw std::runtime_error(std::string("not a TimeoutError: ") + error.what());
        }
      },
      options);
  EXPECT_TRUE(contains(errors[0], "[send] rank 0 waited ")) << errors[0];
  EXPECT_TRUE(contains(errors[0], " s for 5 f32 to reach rank 1")) << errors[0];
}

TEST(ThreadWorld, FailureReachesEveryRank) {
  const auto errors = run_world(4, [](Communicator& comm) {
    if (comm.rank() == 2) throw std::runtime_error("the disk is full");
    std::vector<double> data(70'000);
    for (;;) comm.wait(comm.all_reduce(view_of(data)));
  });
  EXPECT_EQ(errors[2], "the disk is full");
  for (const std::size_t r : {0U, 1U, 3U}) EXPECT_EQ(errors[r], "rank 2 failed: the disk is full");
}

/// Ranks that fail at a random point leave no peer reading memory that is gone.
TEST(ThreadWorld, FailureInTheMiddleWithdrawsBuffers) {
  for (int after = 0; after < 40; ++after) {
    const auto errors = run_world(4, [after](Communicator& comm) {
      std::vector<float> small(100);
      std::vector<double> large(40'000);
      try {
        for (int step = 0;; ++step) {
          const Ticket a = comm.all_reduce(view_of(large));
          const Ticket b = comm.all_reduce(view_of(small));
          if (step == after && comm.rank() == 1) throw std::runtime_error("broken");
          comm.wait(b);
          comm.wait(a);
        }
      } catch (const std::exception& error) {
        comm.fail(error.what());  // before the buffers go
        throw;
      }
    });
    for (std::size_t r = 0; r < errors.size(); ++r) EXPECT_TRUE(contains(errors[r], "broken")) << r << errors[r];
  }
}

TEST(ThreadWorld, MessageSizesThatDisagreeFailBothRanks) {
  const auto errors = run_world(2, [](Communicator& comm) {
    std::vector<float> data(static_cast<std::size_t>(4 + comm.rank()));
    comm.wait(comm.rank() == 0 ? comm.send(view_of(data), 1, 0) : comm.receive(view_of(data), 0, 0));
  });
  for (const std::string& error : errors) {
    EXPECT_TRUE(contains(error, "16 bytes sent, 20 expected")) << error;
  }
}

TEST(ThreadWorld, DestroyedCommunicatorWithdrawsItsMessages) {
  auto ranks = make_thread_world(2, {});
  {
    std::vector<float> gone(10);
    const auto part = std::move(ranks[0]);
    part->receive(view_of(gone), 1, 0);
    part->send(view_of(gone), 1, 0);
  }
  std::vector<float> data(10);
  const Ticket ticket = ranks[1]->send(view_of(data), 0, 0);
  EXPECT_FALSE(ranks[1]->test(ticket));
}

TEST(ThreadWorld, SizeBelowOneIsRefused) { EXPECT_THROW(make_thread_world(0, {}), std::invalid_argument); }

}  // namespace
}  // namespace dml
