#include "kinglet/base/thread_pool.h"

#include <chrono>
#include <thread>

#include <pthread.h>

namespace kinglet {
namespace {

std::atomic<ThreadPool*> g_pool{nullptr};
std::mutex g_making;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

ThreadPool& ThreadPool::instance() {
  if (ThreadPool* const pool = g_pool.load(std::memory_order_acquire)) return *pool;
  const std::lock_guard lock(g_making);
  if (g_pool.load() == nullptr) {
    // In a child the other threads are gone, and what they held is in no known state: the old pool is left alone.
    static const int once = pthread_atfork(nullptr, nullptr, [] { g_pool.store(nullptr); });
    (void)once;
    g_pool.store(new ThreadPool, std::memory_order_release);
  }
  return *g_pool.load();
}

bool ThreadPool::run(std::int64_t helpers, const std::function<void()>& work) {
  const std::unique_lock lock(in_use_, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  grow(helpers);
  Job job;
  job.work = &work;
  job.places = helpers;
  job_.store(&job);
  announced_.fetch_add(1);
  announced_.notify_all();
  work();
  // A helper first counts itself, then looks for the job: either it is seen here, or it sees that there is none.
  job_.store(nullptr);
  constexpr int kPatience = 1000;  // then the helper's core may be this one
  for (int spins = 0; helping_.load() != 0; ++spins) {
    if (spins < kPatience) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
  return true;
}

void ThreadPool::grow(std::int64_t helpers) {
  for (; threads_ < helpers; ++threads_) std::thread([this] { serve(); }).detach();
}

void ThreadPool::serve() {
  constexpr auto kAwake = std::chrono::microseconds(100);  // as long as the serial parts between two calls may take
  constexpr int kPauses = 32;                              // between two looks at the clock
  for (std::uint32_t seen = 0;;) {
    const auto start = std::chrono::steady_clock::now();
    while (announced_.load() == seen && std::chrono::steady_clock::now() - start < kAwake) {
      for (int i = 0; i < kPauses && announced_.load() == seen; ++i) pause();
    }
    announced_.wait(seen);
    seen = announced_.load();
    help();
  }
}

void ThreadPool::help() {
  helping_.fetch_add(1);
  if (Job* const job = job_.load(); job != nullptr && job->places.fetch_sub(1) > 0) (*job->work)();
  helping_.fetch_sub(1);
}

}  // namespace kinglet
