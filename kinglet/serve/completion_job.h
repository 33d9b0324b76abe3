// One request for text at work: its sequences in the engine, and their text on its way to the client.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kinglet/models/decoder/token_engine.h"
#include "kinglet/serve/api_reply.h"
#include "kinglet/serve/choice_text.h"
#include "kinglet/serve/http_exchange.h"

namespace kinglet {

class CompletionJob : public std::enable_shared_from_this<CompletionJob> {
 public:
  struct Plan {
    std::vector<std::vector<TokenId>> prompts;
    std::vector<std::string> echoes;       // what stands before each prompt's text; empty: nothing
    std::int64_t n = 1;                    // choices a prompt
    TokenRequest request;                  // of every sequence, but for prompt, max_tokens and sequence
    std::vector<std::int64_t> max_tokens;  // of each prompt
    ChoiceText::Setting text;
    bool stream = false;
    HttpFields fields;  // of the answer
  };
  // Called once for every sequence that has ended, with the seconds since the request's arrival.
  using SequenceEnded = std::function<void(const SequenceResult& result, double seconds)>;
  // Called once, before the answer comes to its end. `status`: of the answer; 0 when the client left before it began.
  using JobEnded = std::function<void(int status)>;

  // Engine, tokenizer and what the callbacks use must outlive it.
  CompletionJob(TokenEngine& engine, const Tokenizer& tokenizer, std::shared_ptr<HttpExchange> exchange,
                ReplyFormat format, Plan plan, SequenceEnded sequence_ended, JobEnded job_ended);

  // Queues all sequences. From then on the job lives by itself, until the answer's end.
  void start();
  // Ends it early: the client is gone, or the server is (then with an error for the client).
  void cancel();

 private:
  struct Choice {
    Choice(const Tokenizer& tokenizer, const std::vector<TokenId>& prompt, const ChoiceText::Setting& setting)
        : text(tokenizer, prompt, setting) {}
    ChoiceText text;
    TextPiece whole;  // unless streaming
    SequenceResult result;
    std::uint64_t sequence = 0;
    bool submitted = false, ended = false;
    const char* finish_reason = "length";
  };
  using Lock = std::lock_guard<std::mutex>;

  bool submit(std::size_t index);
  bool on_token(std::size_t index, const EngineToken& token);
  void on_end(std::size_t index, SequenceResult result);
  // With the lock held:
  void begin_stream();
  void show(std::size_t index, TextPiece piece);
  void finish_choice(std::size_t index, SequenceResult result);
  void finish();
  void finish_with_error();
  int final_status() const;
  ReplyUsage usage() const;

  TokenEngine& engine_;
  const std::shared_ptr<HttpExchange> exchange_;
  const ReplyFormat format_;
  const Plan plan_;
  const SequenceEnded sequence_ended_;
  const JobEnded job_ended_;
  const std::chrono::steady_clock::time_point arrival_ = std::chrono::steady_clock::now();

  std::mutex mutex_;  // guards all below; never held while the engine is called
  std::vector<Choice> choices_;
  std::size_t open_ = 0;  // choices that have not ended
  bool begun_ = false, cancelled_ = false;
  int error_status_ = 0;  // of the first failure
  std::string error_;
};

}  // namespace kinglet
