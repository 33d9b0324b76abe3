// Searches as coroutines: straight code that asks a model and goes on when the reply is there.
//
// A search never calls a model itself. What it asks lands on a CallBoard; whoever drives the search takes the calls
// from there, gets them answered (by a model, a file, a test) and delivers the replies. So a search is a plain function
// of its replies: it can run beside thousands of others on one thread, be tested without a model, and be resumed by
// delivering the same replies again. Not thread-safe.
#pragma once

#include <cassert>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "kinglet/llm/chat_reply.h"
#include "kinglet/llm/chat_request.h"

namespace kinglet::fot {

// A computation that gives a T some day. It begins when it is awaited or started; destroying it ends it where it
// stands.
template <typename T>
class [[nodiscard]] Search {
 public:
  struct promise_type {
    std::optional<T> value;
    std::exception_ptr error;
    std::coroutine_handle<> waiting = std::noop_coroutine();

    struct Resume {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> ended) const noexcept {
        return ended.promise().waiting;
      }
      void await_resume() const noexcept {}
    };

    Search get_return_object() { return Search(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    Resume final_suspend() const noexcept { return {}; }
    void return_value(T result) { value = std::move(result); }
    void unhandled_exception() { error = std::current_exception(); }
  };

  Search(Search&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Search& operator=(Search&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Search() {
    if (handle_) handle_.destroy();
  }

  void start() { handle_.resume(); }
  bool ended() const { return handle_.done(); }
  T take() {  // once, after the end; raises what the search raised
    assert(ended());
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    return std::move(*handle_.promise().value);
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiting) noexcept {
    handle_.promise().waiting = waiting;
    return handle_;
  }
  T await_resume() { return take(); }

 private:
  explicit Search(std::coroutine_handle<promise_type> handle) : handle_(handle) {}

  std::coroutine_handle<promise_type> handle_;
};

// The calls of one search. It waits for one group of calls at a time.
class CallBoard {
 public:
  struct Call {
    std::size_t number = 0;  // counts the calls of this search
    ChatRequest request;
    bool shared = false;  // equal requests of other searches on the same question may have the same reply
  };

  class All {
   public:
    explicit All(CallBoard& board) : board_(&board) {}
    bool await_ready() const noexcept { return board_->missing_ == 0; }
    void await_suspend(std::coroutine_handle<> waiting) const noexcept { board_->waiting_ = waiting; }
    std::vector<ChatReply> await_resume() const { return std::move(board_->replies_); }

   private:
    CallBoard* board_;
  };
  class One {
   public:
    explicit One(CallBoard& board) : all_(board) {}
    bool await_ready() const noexcept { return all_.await_ready(); }
    void await_suspend(std::coroutine_handle<> waiting) const noexcept { all_.await_suspend(waiting); }
    ChatReply await_resume() const { return std::move(all_.await_resume().front()); }

   private:
    All all_;
  };

  // co_await board.ask(request) gives the reply, co_await board.ask_all(requests) the replies in the same order.
  One ask(ChatRequest request) {
    begin_group();
    add(std::move(request), false);
    return One(*this);
  }
  All ask_all(std::vector<ChatRequest> requests, bool shared) {
    begin_group();
    for (ChatRequest& request : requests) add(std::move(request), shared);
    return All(*this);
  }

  // For the driver: calls that were not taken yet, and the reply to one of them.
  std::vector<Call> take_calls() { return std::exchange(new_calls_, {}); }
  void deliver(std::size_t number, ChatReply reply) {
    assert(number >= first_ && number - first_ < replies_.size() && missing_ > 0);
    replies_[number - first_] = std::move(reply);
    if (--missing_ == 0) std::exchange(waiting_, nullptr).resume();
  }

 private:
  void begin_group() {
    first_ = next_;
    replies_.clear();
    missing_ = 0;
  }
  void add(ChatRequest request, bool shared) {
    new_calls_.push_back({next_++, std::move(request), shared});
    replies_.emplace_back();
    ++missing_;
  }

  std::size_t next_ = 0, first_ = 0, missing_ = 0;
  std::vector<Call> new_calls_;
  std::vector<ChatReply> replies_;  // of the group
  std::coroutine_handle<> waiting_;
};

}  // namespace kinglet::fot
