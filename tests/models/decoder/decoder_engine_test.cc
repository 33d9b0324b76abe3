// Continuous batching: sequences that join and leave against each one alone; prefixes taken over; ends and errors.
#include "kinglet/models/decoder/decoder_engine.h"

#include <condition_variable>
#include <filesystem>
#include <limits>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/golden_models.h"

#include "kinglet/base/error.h"
#include "kinglet/base/rng.h"
#include "kinglet/models/decoder/generation.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;

using testing_support::kGoldenModels;

// What an engine said about one sequence.
struct Heard {
  std::vector<TokenId> tokens;
  std::vector<double> log_probabilities;
  std::vector<std::vector<TokenAlternative>> alternatives;
  SequenceResult result;
  bool ended = false;
};

// Collects the callbacks of many sequences.
class Listener {
 public:
  // `stop_after` tokens on_token returns false; 0: never.
  SequenceCallbacks callbacks(std::size_t index, std::size_t stop_after = 0) {
    const std::lock_guard lock(mutex_);
    if (heard_.size() <= index) heard_.resize(index + 1);
    return {[this, index, stop_after](const EngineToken& token) {
              const std::lock_guard inside(mutex_);
              Heard& heard = heard_[index];
              heard.tokens.push_back(token.token);
              heard.log_probabilities.push_back(token.log_probability);
              heard.alternatives.push_back(token.alternatives);
              changed_.notify_all();
              return heard.tokens.size() != stop_after;
            },
            [this, index](const SequenceResult& result) {
              const std::lock_guard inside(mutex_);
              EXPECT_FALSE(heard_[index].ended);
              heard_[index].result = result;
              heard_[index].ended = true;
              changed_.notify_all();
            }};
  }
  Heard wait(std::size_t index) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return heard_[index].ended; });
    return heard_[index];
  }
  void wait_for_tokens(std::size_t index, std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return heard_[index].ended || heard_[index].tokens.size() >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Heard> heard_;
};

TokenRequest request_of(std::vector<TokenId> prompt, std::int64_t tokens) {
  TokenRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = tokens;
  return request;
}

std::vector<TokenRequest> mixed_requests(std::size_t count) {
  Rng rng(5);
  std::vector<TokenRequest> requests;
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<TokenId> prompt;
    const std::uint64_t length = 1 + rng.below(14);
    for (std::uint64_t j = 0; j < length; ++j) prompt.push_back(static_cast<TokenId>(rng.below(60)));
    requests.push_back(request_of(prompt, 1 + static_cast<std::int64_t>(rng.below(24))));
    if (i % 3 == 1) {
      requests.back().choice.temperature = 1.2;
      requests.back().choice.seed = i;
      requests.back().sequence = i % 2;
    }
    if (i % 4 == 2) requests.back().choice.repetition_penalty = 1.3;
  }
  return requests;
}

Generation alone(Decoder& decoder, const TokenRequest& request) {
  GenerationOptions options;
  options.max_tokens = request.max_tokens;
  options.choice = request.choice;
  options.first_sequence = request.sequence;
  options.log_probabilities = true;
  return generate(decoder, {request.prompt}, options).at(0);
}

class EngineOf : public testing::TestWithParam<const char*> {};

// More requests than places, prompts in pieces of 5 tokens, places taken over: tokens are those of each alone.
TEST_P(EngineOf, WhateverJoinsAndLeavesTokensAreThoseOfEachAlone) {
  const std::vector<TokenRequest> requests = mixed_requests(25);
  std::vector<Generation> expected;
  {
    const auto decoder = load_decoder(kGoldenModels / GetParam());
    for (const TokenRequest& request : requests) expected.push_back(alone(*decoder, request));
  }
  EngineOptions options;
  options.parallel = 3;
  options.prompt_piece = 5;
  options.shortest_prefix = 1;
  Listener listener;
  const auto engine = make_decoder_engine(load_decoder(kGoldenModels / GetParam()), options);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (i == 10) listener.wait_for_tokens(4, 2);
    TokenRequest request = requests[i];
    request.top_log_probabilities = 2;
    engine->submit(request, listener.callbacks(i));
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Heard heard = listener.wait(i);
    EXPECT_EQ(heard.tokens, expected[i].tokens) << "request " << i;
    EXPECT_EQ(heard.result.end, SequenceEnd::kLength);
    EXPECT_EQ(heard.result.prompt_tokens, static_cast<std::int64_t>(requests[i].prompt.size()));
    EXPECT_EQ(heard.result.new_tokens, static_cast<std::int64_t>(heard.tokens.size()));
    for (std::size_t t = 0; t < heard.tokens.size(); ++t) {
      EXPECT_NEAR(heard.log_probabilities[t], expected[i].log_probabilities[t], 1e-4);
      ASSERT_EQ(heard.alternatives[t].size(), 2U);
      EXPECT_GE(heard.alternatives[t][0].log_probability, heard.alternatives[t][1].log_probability);
    }
  }
  EXPECT_EQ(engine->state().running, 0);
  EXPECT_EQ(engine->state().waiting, 0);
}

INSTANTIATE_TEST_SUITE_P(Families, EngineOf,
                         testing::Values("llama3", "gemma3", "gpt2", "gpt_neox", "qwen3", "mistral", "opt"));

class DecoderEngineTest : public testing::Test {
 protected:
  std::shared_ptr<Decoder> decoder = load_decoder(kGoldenModels / "llama3");
  Listener listener;
  const std::vector<TokenId> prompt = {5, 17, 3, 9, 40, 41, 42, 43, 44, 45, 46, 8};
};

TEST_F(DecoderEngineTest, APromptThatWasThereIsNotComputedAgain) {
  const auto expected = alone(*decoder, request_of(prompt, 6)).tokens;
  const auto engine = make_decoder_engine(decoder);
  engine->submit(request_of(prompt, 6), listener.callbacks(0));
  EXPECT_EQ(listener.wait(0).tokens, expected);
  EXPECT_EQ(listener.wait(0).result.cached_tokens, 0);
  engine->submit(request_of(prompt, 6), listener.callbacks(1));
  EXPECT_EQ(listener.wait(1).tokens, expected);
  EXPECT_EQ(listener.wait(1).result.cached_tokens, 11);
  // A second turn: the prompt, its answer and more.
  std::vector<TokenId> longer = prompt;
  longer.insert(longer.end(), expected.begin(), expected.end());
  longer.push_back(3);
  engine->submit(request_of(longer, 1), listener.callbacks(2));
  EXPECT_EQ(listener.wait(2).result.cached_tokens, 12 + 5) << "the last token's keys were never needed";
  EXPECT_EQ(engine->state().cached_tokens, 11U + 17U);
}

TEST_F(DecoderEngineTest, APrefixOfARunningSequenceIsCopied) {
  const auto expected = alone(*decoder, request_of(prompt, 4)).tokens;
  const auto engine = make_decoder_engine(decoder);
  engine->submit(request_of(prompt, 100), listener.callbacks(0));
  listener.wait_for_tokens(0, 1);
  engine->submit(request_of(prompt, 4), listener.callbacks(1));
  EXPECT_EQ(listener.wait(1).tokens, expected);
  EXPECT_EQ(listener.wait(1).result.cached_tokens, 11);
  EXPECT_EQ(listener.wait(0).result.end, SequenceEnd::kLength);
}

TEST_F(DecoderEngineTest, SequencesEndForTheReasonsThereAre) {
  const auto tokens = alone(*decoder, request_of(prompt, 3)).tokens;
  EngineOptions options;
  options.context = 20;
  const auto engine = make_decoder_engine(decoder, options);
  TokenRequest eos = request_of(prompt, 10);
  eos.eos = {tokens[1]};
  engine->submit(eos, listener.callbacks(0));
  engine->submit(request_of(prompt, 10), listener.callbacks(1, 2));
  engine->submit(request_of(prompt, 1000), listener.callbacks(2));
  engine->submit(request_of(prompt, 0), listener.callbacks(3));
  EXPECT_EQ(listener.wait(0).result.end, SequenceEnd::kEos);
  EXPECT_LE(listener.wait(0).tokens.size(), 2U);
  EXPECT_EQ(listener.wait(1).result.end, SequenceEnd::kStopped);
  EXPECT_EQ(listener.wait(1).tokens.size(), 2U);
  EXPECT_EQ(listener.wait(2).result.end, SequenceEnd::kLength);
  EXPECT_EQ(listener.wait(2).tokens.size(), 9U) << "12 tokens of the prompt, 8 places behind, one token behind these";
  EXPECT_TRUE(listener.wait(3).tokens.empty());
}

TEST_F(DecoderEngineTest, CancelsWhatRunsAndWhatWaits) {
  EngineOptions options;
  options.parallel = 1;
  const auto engine = make_decoder_engine(decoder, options);
  const auto first = engine->submit(request_of({1, 2, 3}, 60), listener.callbacks(0));
  const auto second = engine->submit(request_of({1, 2}, 60), listener.callbacks(1));
  engine->submit(request_of({4}, 2), listener.callbacks(2));
  engine->cancel(second);
  EXPECT_EQ(listener.wait(1).result.end, SequenceEnd::kCancelled);
  EXPECT_TRUE(listener.wait(1).tokens.empty());
  engine->cancel(first);
  const Heard heard = listener.wait(0);
  EXPECT_TRUE(heard.result.end == SequenceEnd::kCancelled || heard.tokens.size() == 60U);
  EXPECT_EQ(listener.wait(2).tokens.size(), 2U);
  engine->cancel(first);  // long gone
  engine->cancel(12345);
}

TEST_F(DecoderEngineTest, GoingAwayCancelsEverything) {
  auto engine = make_decoder_engine(decoder, EngineOptions{.parallel = 2});
  for (std::size_t i = 0; i < 6; ++i) engine->submit(request_of(prompt, 50), listener.callbacks(i));
  engine.reset();
  for (std::size_t i = 0; i < 6; ++i) {
    const Heard heard = listener.wait(i);
    EXPECT_TRUE(heard.result.end == SequenceEnd::kCancelled || heard.result.end == SequenceEnd::kLength);
  }
}

TEST_F(DecoderEngineTest, RefusesWhatTheModelCannotTake) {
  const auto engine = make_decoder_engine(decoder, EngineOptions{.context = 8});
  TokenRequest hot = request_of({1}, 1);
  hot.choice.temperature = -1.0;
  for (const TokenRequest& request :
       {request_of({}, 1), request_of(std::vector<TokenId>(9, 1), 1), request_of({1}, -1), request_of({-1}, 1),
        request_of({static_cast<TokenId>(engine->vocabulary_size())}, 1), hot}) {
    EXPECT_THROW(engine->submit(request, listener.callbacks(0)), Error);
  }
  EXPECT_THROW(make_decoder_engine(decoder, EngineOptions{.parallel = 0}), Error);
}

TEST_F(DecoderEngineTest, ABrokenModelFailsItsSequencesAndTheEngineLives) {
  {
    const at::NoGradGuard no_grad;
    decoder->output_weight().detach().fill_(std::numeric_limits<float>::quiet_NaN());
  }
  const auto engine = make_decoder_engine(decoder);
  for (const std::size_t i : {0, 1}) {
    engine->submit(request_of(prompt, 5), listener.callbacks(i));
    EXPECT_EQ(listener.wait(i).result.end, SequenceEnd::kFailed);
    EXPECT_THAT(listener.wait(i).result.error, testing::HasSubstr("not finite"));
  }
}

}  // namespace
}  // namespace kinglet
