// Compiles a .cu file of kinglet/kernels/cuda for the CPU: define nothing, include this, then the .cu file.
//
// The threads of a block are contexts of one real thread and take turns at barriers only, in an order that a test can
// turn round: a result that depends on it lacks a barrier. Shared memory is static, blocks run one after the other. A
// thread that ends while others wait at a barrier, and barriers that only a part of a block or warp reaches, are errors
// (std::logic_error), as they are mistakes on a GPU.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <vector>

#include <ucontext.h>

#define __global__
#define __device__
#define __shared__ static

struct dim3 {
  explicit dim3(unsigned x_in = 1, unsigned y_in = 1, unsigned z_in = 1) : x(x_in), y(y_in), z(z_in) {}
  unsigned x, y, z;
};

inline dim3 threadIdx, blockIdx;  // of the thread whose turn it is

namespace kinglet::cuda {

class BlockOnCpu {
 public:
  // Runs the threads of one block; reversed: the last thread goes first.
  void run(unsigned threads, bool reversed, const std::function<void()>& kernel) {
    if (threads_.size() < threads) threads_.resize(threads);
    kernel_ = &kernel;
    running_ = this;
    count_ = threads;
    for (unsigned i = 0; i < count_; ++i) start(i);
    while (live() > 0) {
      for (unsigned i = 0; i < count_; ++i) turn(reversed ? count_ - 1 - i : i);
      if (live() > 0 && !release_warps()) release_block();
    }
  }

  static void wait_for_block() { running_->wait(State::kAtBlock); }

  template <typename Value>
  static Value exchange(Value value, int lane_mask) {
    static_assert(sizeof(Value) == sizeof(std::uint32_t));
    BlockOnCpu& block = *running_;
    const unsigned partner = block.current_ ^ static_cast<unsigned>(lane_mask);
    std::memcpy(&block.threads_[block.current_].word, &value, sizeof value);
    block.wait(State::kAtWarp);
    std::memcpy(&value, &block.threads_.at(partner).word, sizeof value);
    block.wait(State::kAtWarp);
    return value;
  }

 private:
  static constexpr unsigned kWarp = 32;
  static constexpr std::size_t kStack = 1 << 17;
  enum class State { kReady, kAtBlock, kAtWarp, kDone };
  struct Thread {
    ucontext_t context{};
    State state = State::kDone;
    std::uint32_t word = 0;
    std::vector<char> stack = std::vector<char>(kStack);
  };

  static void body() {
    BlockOnCpu& block = *running_;
    (*block.kernel_)();
    block.threads_[block.current_].state = State::kDone;
  }

  void start(unsigned i) {
    Thread& thread = threads_[i];
    ::getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.data();
    thread.context.uc_stack.ss_size = thread.stack.size();
    thread.context.uc_link = &scheduler_;
    ::makecontext(&thread.context, &BlockOnCpu::body, 0);
    thread.state = State::kReady;
  }

  void turn(unsigned i) {
    if (threads_[i].state != State::kReady) return;
    current_ = i;
    threadIdx = dim3(i, 0, 0);
    ::swapcontext(&scheduler_, &threads_[i].context);
  }

  void wait(State where) {
    Thread& thread = threads_[current_];
    thread.state = where;
    ::swapcontext(&thread.context, &scheduler_);
  }

  unsigned live() const {
    unsigned n = 0;
    for (unsigned i = 0; i < count_; ++i) n += threads_[i].state != State::kDone ? 1U : 0U;
    return n;
  }

  // Nobody is ready. Whether a warp could go on.
  bool release_warps() {
    bool any = false;
    for (unsigned first = 0; first < count_; first += kWarp) {
      unsigned waiting = 0;
      for (unsigned i = first; i < first + kWarp; ++i) waiting += threads_[i].state == State::kAtWarp ? 1U : 0U;
      if (waiting == 0) continue;
      if (waiting < kWarp) throw std::logic_error("a part of a warp came to an exchange");
      for (unsigned i = first; i < first + kWarp; ++i) threads_[i].state = State::kReady;
      any = true;
    }
    return any;
  }

  void release_block() {
    if (live() < count_) throw std::logic_error("a thread ended before a barrier of its block");
    for (unsigned i = 0; i < count_; ++i) threads_[i].state = State::kReady;
  }

  static inline BlockOnCpu* running_ = nullptr;
  std::vector<Thread> threads_;
  ucontext_t scheduler_{};
  const std::function<void()>* kernel_ = nullptr;
  unsigned count_ = 0, current_ = 0;
};

inline bool threads_reversed = false;  // the order of turns in launch()

// Blocks must be whole warps along x.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, void* /*stream*/, const Arguments&... arguments) {
  static BlockOnCpu runner;
  for (unsigned y = 0; y < grid.y; ++y) {
    for (unsigned x = 0; x < grid.x; ++x) {
      blockIdx = dim3(x, y, 0);
      runner.run(block.x, threads_reversed, [&] { kernel(arguments...); });
    }
  }
}

}  // namespace kinglet::cuda

inline void __syncthreads() { kinglet::cuda::BlockOnCpu::wait_for_block(); }
template <typename Value>
Value __shfl_xor_sync(unsigned /*mask*/, Value value, int lane_mask) {
  return kinglet::cuda::BlockOnCpu::exchange(value, lane_mask);
}
