#include "kinglet/models/decoder/generation.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/parallel.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

// One prompt at work.
struct Sequence {
  std::size_t number = 0;
  std::int64_t limit = 0;             // new tokens
  std::vector<TokenId> seen;          // different tokens so far; only with a repetition penalty
  std::unordered_set<TokenId> known;  // the same
  Generation result;
  bool finished = false;

  void see(TokenId token) {
    if (known.insert(token).second) seen.push_back(token);
  }
};

// Row r of all tensors belongs to rows_[r]. Prompts end at the same column, with padding on their left.
class BatchGeneration {
 public:
  BatchGeneration(Decoder& decoder, const std::vector<std::vector<TokenId>>& prompts, const GenerationOptions& options,
                  const OnToken& on_token)
      : decoder_(decoder), options_(options), on_token_(on_token), cache_(decoder.make_cache(0, 0)) {
    std::size_t longest = 0;
    for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
    for (std::size_t i = 0; i < prompts.size(); ++i) add_sequence(i, prompts[i]);
    fill_prompts(prompts, static_cast<std::int64_t>(longest));
  }

  std::vector<Generation> run() {
    if (!rows_.empty() && options_.max_tokens > 0) {
      at::Tensor logits = prefill();
      while (logits.defined()) logits = step(logits);
    }
    std::vector<Generation> results;
    for (Sequence& sequence : sequences_) results.push_back(std::move(sequence.result));
    return results;
  }

 private:
  void add_sequence(std::size_t number, const std::vector<TokenId>& prompt) {
    const std::int64_t length = static_cast<std::int64_t>(prompt.size()), most = decoder_.config().max_positions;
    if (prompt.empty()) throw bad_input("prompt", "it has no tokens", "give some text, or start with BOS");
    if (length > most) {
      throw bad_input("prompt", fmt::format("its {} tokens are more than the model's {} positions", length, most),
                      "shorten it");
    }
    Sequence sequence;
    sequence.number = number;
    sequence.limit = std::min(options_.max_tokens, most - length + 1);  // the last token takes no position
    if (options_.choice.repetition_penalty != 1.0) {
      for (const TokenId token : prompt) sequence.see(token);
    }
    rows_.push_back(number);
    sequences_.push_back(std::move(sequence));
  }

  void fill_prompts(const std::vector<std::vector<TokenId>>& prompts, std::int64_t longest) {
    const auto batch = static_cast<std::int64_t>(prompts.size());
    prompts_ = at::zeros({batch, longest}, at::kLong);
    padding_ = at::zeros({batch, 1}, at::kInt);
    for (std::int64_t row = 0; row < batch; ++row) {
      const auto& prompt = prompts[static_cast<std::size_t>(row)];
      const std::int64_t padding = longest - static_cast<std::int64_t>(prompt.size());
      padding_.data_ptr<std::int32_t>()[row] = static_cast<std::int32_t>(padding);
      std::copy(prompt.begin(), prompt.end(), prompts_.data_ptr<std::int64_t>() + row * longest + padding);
    }
    has_padding_ = padding_.any().item<bool>();
    constexpr std::int64_t kFirstRoom = 256;  // more comes by doubling: max_tokens may be far more than is needed
    cache_ = decoder_.make_cache(batch, longest + std::min(kFirstRoom, options_.max_tokens));
  }

  // tokens: [rows, n], behind what the cache holds -> hidden [rows, n, dim]
  at::Tensor forward(const at::Tensor& tokens) {
    DecoderInput input;
    input.tokens = tokens;
    input.cache = &cache_;
    if (has_padding_) {
      const std::int64_t begin = cache_.length(), end = begin + tokens.size(1);
      // Padding stands at 0; sequences that ended may have no position left, which nobody looks at.
      const std::int64_t last = decoder_.config().max_positions - 1;
      input.positions = (at::arange(begin, end, at::kLong).unsqueeze(0) - padding_).clamp(0, last);
      input.first_key = padding_.expand({tokens.size(0), tokens.size(1)});
    }
    return decoder_.forward(input);
  }

  at::Tensor last_logits(const at::Tensor& hidden) { return decoder_.logits(hidden.select(1, hidden.size(1) - 1)); }

  // Pieces bound the memory, and an interrupt is noticed. Undefined after an interrupt.
  at::Tensor prefill() {
    const std::int64_t length = prompts_.size(1);
    at::Tensor hidden;
    for (std::int64_t begin = 0; begin < length; begin += options_.prompt_piece) {
      if (interrupt()) return {};
      hidden = forward(prompts_.slice(1, begin, std::min(length, begin + options_.prompt_piece)));
    }
    return last_logits(hidden);
  }

  // Chooses from logits [rows, vocabulary]; returns those behind the chosen tokens, undefined when nothing goes on.
  at::Tensor step(at::Tensor& logits) {
    at::Tensor tokens = at::empty({logits.size(0), 1}, at::kLong);
    choose(logits, tokens);
    if (interrupt() || unfinished() == 0) return {};
    drop_finished(tokens);
    return last_logits(forward(tokens));
  }

  void choose(at::Tensor& logits, at::Tensor& tokens) {
    const std::int64_t vocabulary = logits.size(1);
    at::Tensor normaliser;
    if (options_.log_probabilities) normaliser = at::logsumexp(logits, 1);
    float* const values = logits.data_ptr<float>();
    std::vector<double> log_probabilities(rows_.size(), 0.0);
    std::int64_t* const chosen = tokens.data_ptr<std::int64_t>();
    parallel_for(logits.size(0), [&](std::int64_t row) {
      const Sequence& sequence = sequences_[rows_[static_cast<std::size_t>(row)]];
      chosen[row] = 0;
      if (sequence.finished) return;
      const std::span<float> own(values + row * vocabulary, static_cast<std::size_t>(vocabulary));
      std::vector<float> raw;  // the penalty changes the logits
      if (options_.log_probabilities && !sequence.seen.empty()) raw.assign(own.begin(), own.end());
      chosen[row] = choose_token(own, sequence.seen, options_.choice, options_.first_sequence + sequence.number,
                                 sequence.result.tokens.size());
      if (options_.log_probabilities) {
        const float logit = (raw.empty() ? own : std::span<float>(raw))[static_cast<std::size_t>(chosen[row])];
        log_probabilities[static_cast<std::size_t>(row)] = logit - normaliser.data_ptr<float>()[row];
      }
    });
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      Sequence& sequence = sequences_[rows_[row]];
      if (!sequence.finished) take(sequence, static_cast<TokenId>(chosen[row]), log_probabilities[row]);
    }
  }

  void take(Sequence& sequence, TokenId token, double log_probability) {
    Generation& result = sequence.result;
    const auto position = static_cast<std::int64_t>(result.tokens.size());
    result.tokens.push_back(token);
    if (options_.log_probabilities) result.log_probabilities.push_back(log_probability);
    if (options_.choice.repetition_penalty != 1.0) sequence.see(token);
    const bool goes_on = !on_token_ || on_token_({sequence.number, position, token, log_probability});
    const auto finish = [&](GenerationEnd reason) {
      sequence.finished = true;
      result.finish = reason;
    };
    if (std::find(options_.eos.begin(), options_.eos.end(), token) != options_.eos.end()) {
      finish(GenerationEnd::kEos);
    } else if (!goes_on) {
      finish(GenerationEnd::kStopped);
    } else if (position + 1 >= sequence.limit) {
      finish(GenerationEnd::kLength);
    }
  }

  std::size_t unfinished() const {
    return static_cast<std::size_t>(
        std::count_if(rows_.begin(), rows_.end(), [&](std::size_t number) { return !sequences_[number].finished; }));
  }

  // Once half of the rows are idle, so that all copies together cost no more than the first.
  void drop_finished(at::Tensor& tokens) {
    if (2 * unfinished() > rows_.size()) return;
    std::vector<std::int64_t> kept;
    std::vector<std::size_t> numbers;
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      if (sequences_[rows_[row]].finished) continue;
      kept.push_back(static_cast<std::int64_t>(row));
      numbers.push_back(rows_[row]);
    }
    const at::Tensor index = at::tensor(kept, at::kLong);
    rows_ = std::move(numbers);
    tokens = tokens.index_select(0, index);
    padding_ = padding_.index_select(0, index);
    cache_.keep(index);
  }

  bool interrupt() {
    if (!interrupted()) return false;
    for (Sequence& sequence : sequences_) {
      if (!sequence.finished) sequence.result.finish = GenerationEnd::kInterrupted;
      sequence.finished = true;
    }
    return true;
  }

  Decoder& decoder_;
  const GenerationOptions& options_;
  const OnToken& on_token_;
  std::vector<Sequence> sequences_;
  std::vector<std::size_t> rows_;
  at::Tensor prompts_;  // [sequences, longest] int64
  at::Tensor padding_;  // [rows, 1] int32
  bool has_padding_ = false;
  nn::KvCache cache_;
};

}  // namespace

std::vector<Generation> generate(Decoder& decoder, const std::vector<std::vector<TokenId>>& prompts,
                                 const GenerationOptions& options, const OnToken& on_token) {
  check_token_choice(options.choice);
  if (options.max_tokens < 0) throw bad_input("max-tokens", fmt::format("{} is not 0 or more", options.max_tokens));
  if (options.prompt_piece < 1) throw bad_input("prompt piece", "it must have a token");
  // Not InferenceMode: tensors that the room nn keeps for ever, made in it, could never take part in training.
  const at::NoGradGuard no_grad;
  return BatchGeneration(decoder, prompts, options, on_token).run();
}

}  // namespace kinglet
