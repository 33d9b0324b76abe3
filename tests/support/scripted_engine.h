// A TokenEngine without a model: who continues what with which token is said by a function. One thread, as the real
// one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kinglet/base/error.h"
#include "kinglet/models/decoder/token_engine.h"

namespace kinglet::testing_support {

class ScriptedEngine : public TokenEngine {
 public:
  using Next = std::function<TokenId(const TokenRequest& request, std::int64_t position)>;
  struct Options {
    std::int64_t parallel = 8, positions = 512, vocabulary = 601;
    std::chrono::microseconds step{0};
    Next next;                      // none: behind token t comes t + 1
    std::int64_t fails_after = -1;  // tokens; then a sequence fails
  };

  ScriptedEngine() : ScriptedEngine(Options()) {}
  explicit ScriptedEngine(Options options) : options_(std::move(options)), thread_([this] { run(); }) {}
  ~ScriptedEngine() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  std::uint64_t submit(TokenRequest request, SequenceCallbacks callbacks) override {
    if (request.prompt.empty()) throw bad_input("prompt", "it is empty");
    const std::lock_guard lock(mutex_);
    waiting_.push_back({next_id_, std::move(request), std::move(callbacks)});
    waiting_.back().arrival = Clock::now();
    ++state_.waiting;
    changed_.notify_all();
    return next_id_++;
  }
  void cancel(std::uint64_t sequence) override {
    const std::lock_guard lock(mutex_);
    cancelled_.push_back(sequence);
    ++cancels_;
    changed_.notify_all();
  }
  EngineState state() const override {
    const std::lock_guard lock(mutex_);
    return state_;
  }
  std::int64_t max_positions() const override { return options_.positions; }
  std::int64_t vocabulary_size() const override { return options_.vocabulary; }

  int cancels() const {
    const std::lock_guard lock(mutex_);
    return cancels_;
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Sequence {
    std::uint64_t id = 0;
    TokenRequest request;
    SequenceCallbacks callbacks;
    Clock::time_point arrival, begin, first;
    std::int64_t position = 0;
    TokenId last = 0;
  };

  static double seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

  void run() {
    std::vector<Sequence> running;
    std::unique_lock lock(mutex_);
    while (!ending_ || !running.empty() || !waiting_.empty()) {
      changed_.wait(lock, [&] { return ending_ || !running.empty() || !waiting_.empty(); });
      join(running);
      const std::vector<std::uint64_t> cancelled = std::exchange(cancelled_, {});
      const bool ending = ending_;
      lock.unlock();
      if (options_.step.count() > 0 && !ending) std::this_thread::sleep_for(options_.step);
      std::int64_t tokens = 0;
      for (std::size_t i = 0; i < running.size();) {
        const bool stop = ending || std::find(cancelled.begin(), cancelled.end(), running[i].id) != cancelled.end();
        if (stop ? end(running[i], SequenceEnd::kCancelled) : step(running[i], tokens)) {
          running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
        } else {
          ++i;
        }
      }
      lock.lock();
      drop_waiting(cancelled, lock);
      state_.running = static_cast<std::int64_t>(running.size());
      state_.new_tokens += static_cast<std::uint64_t>(tokens);
    }
  }

  void join(std::vector<Sequence>& running) {
    while (!waiting_.empty() && static_cast<std::int64_t>(running.size()) < options_.parallel) {
      running.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
      --state_.waiting;
      running.back().begin = Clock::now();
      running.back().last = running.back().request.prompt.back();
      state_.prompt_tokens += running.back().request.prompt.size();
    }
    state_.running = static_cast<std::int64_t>(running.size());
  }

  void drop_waiting(const std::vector<std::uint64_t>& cancelled, std::unique_lock<std::mutex>& lock) {
    for (const std::uint64_t id : cancelled) {
      const auto found =
          std::find_if(waiting_.begin(), waiting_.end(), [&](const Sequence& sequence) { return sequence.id == id; });
      if (found == waiting_.end()) continue;
      Sequence sequence = std::move(*found);
      waiting_.erase(found);
      --state_.waiting;
      lock.unlock();
      end(sequence, SequenceEnd::kCancelled);
      lock.lock();
    }
  }

  // True: it has ended.
  bool step(Sequence& sequence, std::int64_t& tokens) {
    const TokenRequest& request = sequence.request;
    if (sequence.position == options_.fails_after) return end(sequence, SequenceEnd::kFailed);
    EngineToken token;
    token.token = options_.next ? options_.next(request, sequence.position)
                                : static_cast<TokenId>((sequence.last + 1) % options_.vocabulary);
    sequence.last = token.token;
    if (sequence.position++ == 0) sequence.first = Clock::now();
    ++tokens;
    if (request.top_log_probabilities >= 0) add_log_probabilities(request, sequence.position, token);
    const bool go_on = sequence.callbacks.on_token(token);
    if (!go_on) return end(sequence, SequenceEnd::kStopped);
    if (std::find(request.eos.begin(), request.eos.end(), token.token) != request.eos.end()) {
      return end(sequence, SequenceEnd::kEos);
    }
    const auto length = static_cast<std::int64_t>(request.prompt.size()) + sequence.position;
    if (sequence.position < request.max_tokens && length < options_.positions) return false;
    return end(sequence, SequenceEnd::kLength);
  }

  // Probabilities that halve from one alternative to the next; how sure it is depends on the place.
  void add_log_probabilities(const TokenRequest& request, std::int64_t position, EngineToken& token) const {
    const double first = 0.95 - 0.08 * static_cast<double>((position * 7 + token.token) % 11);
    token.log_probability = std::log(first);
    double probability = first;
    for (std::int64_t i = 0; i < request.top_log_probabilities; ++i) {
      token.alternatives.push_back(
          {static_cast<TokenId>((token.token + i) % options_.vocabulary), std::log(probability)});
      probability = i == 0 ? std::min(first, 1.0 - first) / 2 : probability / 2;
    }
  }

  bool end(Sequence& sequence, SequenceEnd how) {
    SequenceResult result;
    result.end = how;
    if (how == SequenceEnd::kFailed) result.error = "the script says so";
    result.prompt_tokens = static_cast<std::int64_t>(sequence.request.prompt.size());
    result.cached_tokens = result.prompt_tokens / 2;
    result.new_tokens = sequence.position;
    if (sequence.position > 0) {
      result.wait_seconds = seconds(sequence.begin - sequence.arrival);
      result.prompt_seconds = seconds(sequence.first - sequence.begin);
      result.token_seconds = seconds(Clock::now() - sequence.first);
    }
    sequence.callbacks.on_end(result);
    return true;
  }

  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Sequence> waiting_;
  std::vector<std::uint64_t> cancelled_;
  EngineState state_;
  std::uint64_t next_id_ = 1;
  int cancels_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace kinglet::testing_support
