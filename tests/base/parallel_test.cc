#include "kinglet/base/parallel.h"

#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kinglet {
namespace {

class Parallel : public testing::TestWithParam<int> {
 protected:
  Parallel() { set_num_threads(GetParam()); }
  ~Parallel() override {
    set_num_threads(0);
    set_parallel_backend({});
  }
};

INSTANTIATE_TEST_SUITE_P(Threads, Parallel, testing::Values(1, 2, 3, 8));

TEST_P(Parallel, EachIndexOnce) {
  for (const std::int64_t count : {0, 1, 2, 7, 1000}) {
    std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
    parallel_for(count, [&](std::int64_t i) { ++calls[static_cast<std::size_t>(i)]; });
    for (const auto& times : calls) ASSERT_EQ(times, 1) << count;
  }
}

TEST_P(Parallel, TheFirstExceptionComesBackAndStopsTheRest) {
  std::atomic<int> started{0};
  try {
    parallel_for(100'000, [&](std::int64_t i) {
      ++started;
      if (i == 3) throw std::runtime_error("three");
    });
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "three");
  }
  EXPECT_GE(started, 4);
  // A worker that lost its core to others may be late, but not by all of the work.
  EXPECT_LT(started, 100'000);
  std::atomic<int> after{0};
  parallel_for(10, [&](std::int64_t) { ++after; });
  EXPECT_EQ(after, 10);
}

TEST_P(Parallel, NestedCallsRunInTheThreadOfTheirCaller) {
  std::atomic<int> calls{0};
  std::atomic<bool> strayed{false};
  parallel_for(8, [&](std::int64_t) {
    const std::thread::id outer = std::this_thread::get_id();
    parallel_for(16, [&](std::int64_t) {
      ++calls;
      if (std::this_thread::get_id() != outer) strayed = true;
    });
  });
  EXPECT_EQ(calls, 128);
  EXPECT_FALSE(strayed);
}

TEST_P(Parallel, ABackendRunsTheWork) {
  int used = 0;
  set_parallel_backend([&](std::int64_t count, const std::function<void(std::int64_t)>& body) {
    ++used;
    for (std::int64_t i = count; i-- > 0;) body(i);
  });
  std::set<std::int64_t> seen;
  parallel_for(50, [&](std::int64_t i) { seen.insert(i); });
  EXPECT_EQ(seen.size(), 50u);
  EXPECT_EQ(used, GetParam() > 1 ? 1 : 0);  // one thread needs no backend
  EXPECT_THROW(parallel_for(50,
                            [](std::int64_t i) {
                              if (i == 9) throw std::out_of_range("nine");
                            }),
               std::out_of_range);
}

// The pool's threads stay between calls: many short ones in a row, and long pauses in which they fall asleep.
TEST(ParallelThreads, ManyCallsInARow) {
  set_num_threads(4);
  std::atomic<std::int64_t> total{0};
  for (int call = 0; call < 20000; ++call) {
    parallel_for(5, [&](std::int64_t i) { total += i; });
    if (call % 5000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(total, 20000 * 10);
  set_num_threads(0);
}

// While one thread has the pool, the others do their work themselves.
TEST(ParallelThreads, SeveralCallersAtOnce) {
  set_num_threads(3);
  std::atomic<std::int64_t> total{0};
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 4; ++caller) {
      callers.emplace_back([&] {
        for (int call = 0; call < 2000; ++call) parallel_for(7, [&](std::int64_t) { ++total; });
      });
    }
  }
  EXPECT_EQ(total, 4 * 2000 * 7);
  set_num_threads(0);
}

// A child has none of its parent's threads, and makes its own.
TEST(ParallelThreads, WorkAfterFork) {
  set_num_threads(2);
  std::atomic<int> calls{0};
  parallel_for(8, [&](std::int64_t) { ++calls; });
  const pid_t child = fork();
  if (child == 0) {
    std::atomic<int> own{0};
    parallel_for(8, [&](std::int64_t) { ++own; });
    _exit(own == 8 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  set_num_threads(0);
}

TEST(ParallelThreads, AtLeastOneAndAsSet) {
  EXPECT_GE(num_threads(), 1);
  set_num_threads(5);
  EXPECT_EQ(num_threads(), 5);
  set_num_threads(-3);
  EXPECT_GE(num_threads(), 1);
  set_num_threads(0);
}

TEST(ParallelRanges, CoverEverythingOnceInEqualPieces) {
  for (const std::int64_t n : {0, 1, 9, 10, 11, 95}) {
    std::vector<std::atomic<int>> calls(static_cast<std::size_t>(n));
    parallel_ranges(n, 10, [&](std::int64_t begin, std::int64_t end) {
      EXPECT_EQ(begin % 10, 0);
      EXPECT_TRUE(end - begin == 10 || end == n);
      for (std::int64_t i = begin; i < end; ++i) ++calls[static_cast<std::size_t>(i)];
    });
    for (const auto& count : calls) EXPECT_EQ(count, 1);
  }
}

}  // namespace
}  // namespace kinglet
