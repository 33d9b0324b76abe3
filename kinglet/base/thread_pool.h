// The threads behind parallel_for(): they wait for work for a moment awake, then asleep, and start with the first use.
//
// A call ends when all of its work is done, not when all threads have come by: a thread that another program has
// displaced from its core holds up nothing but the piece that it is in.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace kinglet {

class ThreadPool {
 public:
  // The pool of the process. It is never destroyed; a child after fork() gets a new one.
  static ThreadPool& instance();

  // Runs `work` on the calling thread and on up to `helpers` others at the same time, each until it returns; `work`
  // must return soon when nothing is left to do. Returns false, without having run it, when another thread is using the
  // pool. `work` must not throw.
  bool run(std::int64_t helpers, const std::function<void()>& work);

 private:
  struct Job {
    const std::function<void()>* work = nullptr;
    std::atomic<std::int64_t> places{0};  // helpers that may still join
  };

  void grow(std::int64_t helpers);
  void serve();
  void help();

  std::mutex in_use_;
  std::atomic<Job*> job_{nullptr};
  std::atomic<std::int64_t> helping_{0};     // threads that may hold a pointer to the job
  std::atomic<std::uint32_t> announced_{0};  // jobs so far
  std::int64_t threads_ = 0;
};

}  // namespace kinglet
