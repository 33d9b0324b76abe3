#include "kinglet/train/torch_threads.h"

#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "kinglet/base/parallel.h"

namespace kinglet {
namespace {

// LibTorch's pool gives all its threads to the house's kernels, not one of them.
TEST(TorchThreads, WorkIsSharedByAllThreads) {
  if (num_threads() < 2) GTEST_SKIP() << "one core only";
  share_torch_threads();
  std::mutex mutex;
  std::set<std::thread::id> seen;
  parallel_for(num_threads(), [&](std::int64_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // long enough for every thread to take one
    const std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  set_parallel_backend({});
  EXPECT_GT(seen.size(), 1U);
}

}  // namespace
}  // namespace kinglet
