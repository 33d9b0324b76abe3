#include "kinglet/models/decoder/decoder_engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <unordered_set>

#include <fmt/format.h>

#include "kinglet/base/clock.h"
#include "kinglet/base/error.h"
#include "kinglet/base/parallel.h"
#include "kinglet/models/decoder/log_probabilities.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

using Clock = std::chrono::steady_clock;

// A request from submit() to its on_end.
struct EngineSequence {
  std::uint64_t number = 0;
  TokenRequest request;
  SequenceCallbacks callbacks;
  SequenceResult result;
  Clock::time_point submitted, started, first_token, last_token;
  std::int64_t limit = 0;             // new tokens
  std::vector<TokenId> seen;          // different tokens so far; only with a repetition penalty
  std::unordered_set<TokenId> known;  // the same
  bool ended = false;

  void see(TokenId token) {
    if (request.choice.repetition_penalty != 1.0 && known.insert(token).second) seen.push_back(token);
  }
};

// A place where a sequence's keys and values stand; `tokens` are those that it holds, also of a sequence gone.
struct Slot {
  explicit Slot(nn::KvCache empty) : cache(std::move(empty)) {}

  bool is_free() const { return !sequence; }
  bool in_prompt() const { return sequence && cached() < prompt_size(); }
  std::int64_t cached() const { return cache.length(); }
  std::int64_t prompt_size() const { return static_cast<std::int64_t>(sequence->request.prompt.size()); }

  nn::KvCache cache;
  std::vector<TokenId> tokens;
  std::unique_ptr<EngineSequence> sequence;
  TokenId next = 0;             // chosen, not yet in the cache
  std::uint64_t last_used = 0;  // step
};

std::int64_t common_prefix(const std::vector<TokenId>& a, const std::vector<TokenId>& b) {
  const auto length = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(length), b.begin()).first - a.begin();
}

class DecoderEngine : public TokenEngine {
 public:
  DecoderEngine(std::shared_ptr<Decoder> decoder, const EngineOptions& options)
      : decoder_(std::move(decoder)), options_(options) {
    max_positions_ = decoder_->config().max_positions;
    if (options.context > 0) max_positions_ = std::min(max_positions_, options.context);
    thread_ = std::thread([this] { run(); });
  }

  ~DecoderEngine() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  std::uint64_t submit(TokenRequest request, SequenceCallbacks callbacks) override {
    check(request);
    auto sequence = std::make_unique<EngineSequence>();
    const auto length = static_cast<std::int64_t>(request.prompt.size());
    sequence->limit = std::min(request.max_tokens, max_positions_ - length + 1);  // the last token takes no position
    sequence->result.prompt_tokens = length;
    sequence->submitted = Clock::now();
    sequence->request = std::move(request);
    sequence->callbacks = std::move(callbacks);
    for (const TokenId token : sequence->request.prompt) sequence->see(token);
    std::uint64_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      number = sequence->number = ++last_number_;
      open_.insert(number);
      waiting_.push_back(std::move(sequence));
      state_.waiting = static_cast<std::int64_t>(waiting_.size());
    }
    changed_.notify_all();
    return number;
  }

  void cancel(std::uint64_t sequence) override {
    {
      const std::lock_guard lock(mutex_);
      if (!open_.contains(sequence)) return;
      cancelled_.insert(sequence);
    }
    changed_.notify_all();
  }

  EngineState state() const override {
    const std::lock_guard lock(mutex_);
    return state_;
  }

  std::int64_t max_positions() const override { return max_positions_; }
  std::int64_t vocabulary_size() const override { return decoder_->config().vocabulary_size; }

 private:
  void check(const TokenRequest& request) const {
    check_token_choice(request.choice);
    const auto length = static_cast<std::int64_t>(request.prompt.size());
    if (length == 0) throw bad_input("prompt", "it has no tokens", "give some text");
    if (length > max_positions_) {
      throw bad_input("prompt", fmt::format("its {} tokens are more than the {} positions", length, max_positions_),
                      "shorten it");
    }
    if (request.max_tokens < 0) {
      throw bad_input("max_tokens", fmt::format("{} is not 0 or more", request.max_tokens));
    }
    for (const TokenId token : request.prompt) {
      if (token < 0 || token >= vocabulary_size()) {
        throw bad_input("prompt", fmt::format("token id {} is outside the model's {}", token, vocabulary_size()));
      }
    }
  }

  // --- the engine's thread ---

  void run() {
    const at::NoGradGuard no_grad;
    while (take_orders()) {
      ++step_;
      try {
        prompts_step();
        tokens_step();
      } catch (const std::exception& error) {
        for (Slot& slot : slots_) {
          if (!slot.is_free()) fail(slot, error.what());
        }
      }
      free_ended();
    }
  }

  // Waits for something to do; false when the engine is to stop, with everything cancelled.
  bool take_orders() {
    std::vector<std::unique_ptr<EngineSequence>> starting, dropped;
    std::set<std::uint64_t> cancelled;
    bool stopping = false;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !waiting_.empty() || running() > 0 || !cancelled_.empty(); });
      stopping = stopping_;
      cancelled.swap(cancelled_);
      for (auto& sequence : waiting_) {
        if (stopping || cancelled.contains(sequence->number)) dropped.push_back(std::move(sequence));
      }
      std::erase(waiting_, nullptr);
      auto places = static_cast<std::size_t>(options_.parallel - running());
      for (; places > 0 && !waiting_.empty() && !stopping; --places) {
        starting.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
      }
    }
    for (auto& sequence : dropped) end(*sequence, SequenceEnd::kCancelled);
    for (Slot& slot : slots_) {
      if (!slot.is_free() && (stopping || cancelled.contains(slot.sequence->number))) {
        end(*slot.sequence, SequenceEnd::kCancelled);
      }
    }
    free_ended();
    for (auto& sequence : starting) start(std::move(sequence));
    publish();
    return !stopping;
  }

  std::int64_t running() const {
    return std::count_if(slots_.begin(), slots_.end(),
                         [](const Slot& slot) { return slot.sequence && !slot.sequence->ended; });
  }

  void start(std::unique_ptr<EngineSequence> sequence) {
    sequence->started = Clock::now();
    sequence->result.wait_seconds = seconds_between(sequence->submitted, sequence->started);
    if (sequence->limit == 0) return end(*sequence, SequenceEnd::kLength);
    const std::vector<TokenId>& prompt = sequence->request.prompt;
    // The last token of the prompt is always computed: its logits are needed.
    const auto usable = [&](const Slot& slot) {
      return std::min(common_prefix(slot.tokens, prompt), static_cast<std::int64_t>(prompt.size()) - 1);
    };
    Slot* source = nullptr;
    for (Slot& slot : slots_) {
      if (source == nullptr || usable(slot) > usable(*source)) source = &slot;
    }
    const std::int64_t prefix = source == nullptr ? 0 : usable(*source);
    const bool takes_over = prefix >= options_.shortest_prefix;
    Slot& slot = takes_over && source->is_free() ? *source : place_for_new(takes_over ? source : nullptr);
    if (!takes_over) {
      slot.cache.truncate(0);
    } else if (&slot == source) {
      slot.cache.truncate(prefix);
    } else {
      slot.cache.copy_prefix(source->cache, prefix);
    }
    slot.tokens.assign(prompt.begin(), prompt.begin() + slot.cached());
    sequence->result.cached_tokens = slot.cached();
    slot.sequence = std::move(sequence);
  }

  // An unused place, or the one whose sequence ended longest ago (not `kept`).
  Slot& place_for_new(const Slot* kept) {
    if (static_cast<std::int64_t>(slots_.size()) < options_.parallel) {
      constexpr std::int64_t kFirstRoom = 256;  // more comes by doubling
      return slots_.emplace_back(decoder_->make_cache(1, std::min(kFirstRoom, max_positions_)));
    }
    Slot* oldest = nullptr;
    for (Slot& slot : slots_) {
      if (!slot.is_free() || &slot == kept) continue;
      if (oldest == nullptr || slot.last_used < oldest->last_used) oldest = &slot;
    }
    TORCH_CHECK(oldest != nullptr, "no free place for a sequence");
    return *oldest;
  }

  // Up to prompt_piece tokens of the prompts, the earliest first.
  void prompts_step() {
    std::vector<Slot*> prompts;
    for (Slot& slot : slots_) {
      if (slot.in_prompt()) prompts.push_back(&slot);
    }
    std::sort(prompts.begin(), prompts.end(),
              [](const Slot* a, const Slot* b) { return a->sequence->number < b->sequence->number; });
    std::int64_t room = options_.prompt_piece;
    for (Slot* slot : prompts) {
      if (room == 0) break;
      const std::int64_t begin = slot->cached(), count = std::min(room, slot->prompt_size() - begin);
      room -= count;
      const std::vector<TokenId>& prompt = slot->sequence->request.prompt;
      const std::vector<std::int64_t> ids(prompt.begin() + begin, prompt.begin() + begin + count);
      DecoderInput input;
      input.tokens = at::tensor(ids, at::kLong).unsqueeze(0);
      input.cache = &slot->cache;
      const at::Tensor hidden = decoder_->forward(input);
      slot->tokens.insert(slot->tokens.end(), prompt.begin() + begin, prompt.begin() + begin + count);
      count_tokens(count, 0);
      if (!slot->in_prompt()) choose({slot}, decoder_->logits(hidden.select(1, count - 1)));
    }
  }

  // One token of every sequence behind its prompt.
  void tokens_step() {
    std::vector<Slot*> slots;
    for (Slot& slot : slots_) {
      if (slot.sequence && !slot.in_prompt() && !slot.sequence->ended && slot.sequence->result.new_tokens > 0) {
        slots.push_back(&slot);
      }
    }
    if (slots.empty()) return;
    DecoderInput input;
    input.tokens = at::empty({static_cast<std::int64_t>(slots.size()), 1}, at::kLong);
    for (std::size_t row = 0; row < slots.size(); ++row) {
      input.tokens.data_ptr<std::int64_t>()[row] = slots[row]->next;
      input.caches.push_back(&slots[row]->cache);
    }
    const at::Tensor hidden = decoder_->forward(input);
    for (Slot* slot : slots) slot->tokens.push_back(slot->next);
    choose(slots, decoder_->logits(hidden.select(1, 0)));
  }

  // logits: [slots, vocabulary], row r of slots[r]
  void choose(const std::vector<Slot*>& slots, const at::Tensor& logits) {
    const std::int64_t vocabulary = logits.size(1);
    float* const values = logits.data_ptr<float>();
    std::vector<EngineToken> chosen(slots.size());
    std::vector<std::string> errors(slots.size());
    parallel_for(static_cast<std::int64_t>(slots.size()), [&](std::int64_t row) {
      const auto i = static_cast<std::size_t>(row);
      const EngineSequence& sequence = *slots[i]->sequence;
      const std::span<float> own(values + row * vocabulary, static_cast<std::size_t>(vocabulary));
      try {
        std::optional<LogProbabilities> log_probabilities;
        if (sequence.request.top_log_probabilities >= 0) {
          log_probabilities.emplace(own, sequence.request.top_log_probabilities);
        }
        chosen[i].token = choose_token(own, sequence.seen, sequence.request.choice, sequence.request.sequence,
                                       static_cast<std::uint64_t>(sequence.result.new_tokens));
        if (!log_probabilities) return;
        chosen[i].log_probability = log_probabilities->of(chosen[i].token);
        chosen[i].alternatives = log_probabilities->best();
      } catch (const std::exception& error) {
        errors[i] = error.what();
      }
    });
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (errors[i].empty()) {
        take(*slots[i], chosen[i]);
      } else {
        fail(*slots[i], errors[i]);
      }
    }
  }

  void take(Slot& slot, const EngineToken& chosen) {
    EngineSequence& sequence = *slot.sequence;
    SequenceResult& result = sequence.result;
    slot.next = chosen.token;
    slot.last_used = step_;
    sequence.last_token = Clock::now();
    if (result.new_tokens == 0) {
      sequence.first_token = sequence.last_token;
      result.prompt_seconds = seconds_between(sequence.started, sequence.first_token);
    }
    ++result.new_tokens;
    count_tokens(0, 1);
    sequence.see(chosen.token);
    const bool goes_on = sequence.callbacks.on_token(chosen);
    const std::vector<TokenId>& eos = sequence.request.eos;
    if (std::find(eos.begin(), eos.end(), chosen.token) != eos.end()) {
      end(sequence, SequenceEnd::kEos);
    } else if (!goes_on) {
      end(sequence, SequenceEnd::kStopped);
    } else if (result.new_tokens >= sequence.limit) {
      end(sequence, SequenceEnd::kLength);
    }
  }

  void fail(Slot& slot, const std::string& error) {
    slot.sequence->result.error = error;
    end(*slot.sequence, SequenceEnd::kFailed);
    slot.tokens.clear();  // what the cache holds is not to be trusted
    slot.cache.truncate(0);
  }

  void end(EngineSequence& sequence, SequenceEnd how) {
    if (sequence.ended) return;
    sequence.ended = true;
    sequence.result.end = how;
    if (sequence.result.new_tokens > 0) {
      sequence.result.token_seconds = seconds_between(sequence.first_token, sequence.last_token);
    }
    {
      const std::lock_guard lock(mutex_);
      open_.erase(sequence.number);
      cancelled_.erase(sequence.number);
      state_.cached_tokens += static_cast<std::uint64_t>(sequence.result.cached_tokens);
      state_.running = running();
    }
    sequence.callbacks.on_end(sequence.result);
  }

  void free_ended() {
    for (Slot& slot : slots_) {
      if (slot.sequence && slot.sequence->ended) slot.sequence.reset();
    }
    publish();
  }

  void count_tokens(std::int64_t prompt, std::int64_t fresh) {
    const std::lock_guard lock(mutex_);
    state_.prompt_tokens += static_cast<std::uint64_t>(prompt);
    state_.new_tokens += static_cast<std::uint64_t>(fresh);
  }

  void publish() {
    const std::lock_guard lock(mutex_);
    state_.running = running();
    state_.waiting = static_cast<std::int64_t>(waiting_.size());
  }

  const std::shared_ptr<Decoder> decoder_;
  const EngineOptions options_;
  std::int64_t max_positions_ = 0;

  // The engine's thread only.
  std::deque<Slot> slots_;  // addresses stay
  std::uint64_t step_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<EngineSequence>> waiting_;
  std::set<std::uint64_t> open_, cancelled_;
  std::uint64_t last_number_ = 0;
  bool stopping_ = false;
  EngineState state_;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

std::unique_ptr<TokenEngine> make_decoder_engine(std::shared_ptr<Decoder> decoder, const EngineOptions& options) {
  if (options.parallel < 1) throw bad_input("parallel", fmt::format("{} is not 1 or more", options.parallel));
  if (options.context < 0) throw bad_input("context", fmt::format("{} is not 0 or more", options.context));
  if (options.prompt_piece < 1) throw bad_input("prompt piece", "it must have a token");
  return std::make_unique<DecoderEngine>(std::move(decoder), options);
}

}  // namespace kinglet
