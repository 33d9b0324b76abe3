#include "kinglet/base/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include <sched.h>

#include "kinglet/base/thread_pool.h"

namespace kinglet {
namespace {

std::atomic<int> g_threads{0};
ParallelBackend g_backend;
thread_local bool t_inside = false;

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// Marks the current thread as a worker, so that a nested parallel_for runs serially.
class InsideScope {
 public:
  InsideScope() : previous_(t_inside) { t_inside = true; }
  ~InsideScope() { t_inside = previous_; }

 private:
  bool previous_;
};

}  // namespace

void parallel_ranges(std::int64_t n, std::int64_t piece, const std::function<void(std::int64_t, std::int64_t)>& body) {
  parallel_for((n + piece - 1) / piece, [&](std::int64_t i) { body(i * piece, std::min(n, (i + 1) * piece)); });
}

int num_threads() {
  const int set = g_threads.load();
  return set > 0 ? set : usable_cores();
}

void set_num_threads(int threads) { g_threads.store(std::max(0, threads)); }

void set_parallel_backend(ParallelBackend backend) { g_backend = std::move(backend); }

void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& body) {
  const std::int64_t threads = std::min<std::int64_t>(num_threads(), count);
  if (threads <= 1 || t_inside) {
    for (std::int64_t i = 0; i < count; ++i) body(i);
    return;
  }

  std::atomic<bool> stop{false};
  std::exception_ptr error;
  std::mutex error_mutex;
  const auto guarded = [&](std::int64_t i) {
    if (stop.load(std::memory_order_relaxed)) return;
    try {
      body(i);
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      if (!error) error = std::current_exception();
      stop = true;
    }
  };

  if (g_backend) {
    g_backend(count, [&](std::int64_t i) {
      const InsideScope inside;
      guarded(i);
    });
  } else {
    std::atomic<std::int64_t> next{0};
    const auto work = [&] {
      const InsideScope inside;
      for (std::int64_t i = next++; i < count; i = next++) guarded(i);
    };
    if (!ThreadPool::instance().run(threads - 1, work)) work();
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace kinglet
