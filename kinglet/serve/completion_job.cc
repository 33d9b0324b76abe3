#include "kinglet/serve/completion_job.h"

#include <algorithm>
#include <utility>

#include "kinglet/base/error.h"
#include "kinglet/base/log.h"
#include "kinglet/serve/api_error.h"

namespace kinglet {

CompletionJob::CompletionJob(TokenEngine& engine, const Tokenizer& tokenizer, std::shared_ptr<HttpExchange> exchange,
                             ReplyFormat format, Plan plan, SequenceEnded sequence_ended, JobEnded job_ended)
    : engine_(engine),
      exchange_(std::move(exchange)),
      format_(std::move(format)),
      plan_(std::move(plan)),
      sequence_ended_(std::move(sequence_ended)),
      job_ended_(std::move(job_ended)) {
  const auto n = static_cast<std::size_t>(plan_.n);
  choices_.reserve(plan_.prompts.size() * n);
  for (std::size_t i = 0; i < plan_.prompts.size() * n; ++i) {
    choices_.emplace_back(tokenizer, plan_.prompts[i / n], plan_.text);
    choices_.back().result.prompt_tokens = static_cast<std::int64_t>(plan_.prompts[i / n].size());
  }
  open_ = choices_.size();
}

void CompletionJob::start() {
  exchange_->on_gone([weak = weak_from_this()] {
    if (const auto job = weak.lock()) job->cancel();
  });
  std::size_t index = 0;
  while (index < choices_.size() && submit(index)) ++index;
  for (; index < choices_.size(); ++index) {
    SequenceResult result = choices_[index].result;
    result.end = SequenceEnd::kCancelled;
    on_end(index, std::move(result));
  }
  const Lock lock(mutex_);
  if (plan_.stream && open_ > 0 && error_status_ == 0) begin_stream();
}

// False: it makes no sense to go on with the others.
bool CompletionJob::submit(std::size_t index) {
  const std::size_t prompt = index / static_cast<std::size_t>(plan_.n);
  {
    const Lock lock(mutex_);
    if (cancelled_ || error_status_ != 0) return false;
  }
  if (plan_.max_tokens[prompt] == 0) {
    on_end(index, choices_[index].result);
    return true;
  }
  TokenRequest request = plan_.request;
  request.prompt = plan_.prompts[prompt];
  request.max_tokens = plan_.max_tokens[prompt];
  request.sequence = index;
  SequenceCallbacks callbacks;
  callbacks.on_token = [job = shared_from_this(), index](const EngineToken& token) {
    return job->on_token(index, token);
  };
  callbacks.on_end = [job = shared_from_this(), index](const SequenceResult& result) { job->on_end(index, result); };
  try {
    const std::uint64_t sequence = engine_.submit(std::move(request), std::move(callbacks));
    bool cancelled = false;
    {
      const Lock lock(mutex_);
      choices_[index].sequence = sequence;
      choices_[index].submitted = true;
      cancelled = cancelled_;
    }
    if (cancelled) engine_.cancel(sequence);
    return true;
  } catch (const Error& error) {
    {
      const Lock lock(mutex_);
      error_status_ = error.kind() == ErrorKind::kBadInput ? 400 : 503;
      error_ = error.what();
    }
    return false;
  }
}

void CompletionJob::cancel() {
  std::vector<std::uint64_t> sequences;
  {
    const Lock lock(mutex_);
    cancelled_ = true;
    for (const Choice& choice : choices_) {
      if (choice.submitted && !choice.ended) sequences.push_back(choice.sequence);
    }
  }
  for (const std::uint64_t sequence : sequences) engine_.cancel(sequence);
}

bool CompletionJob::on_token(std::size_t index, const EngineToken& token) {
  const Lock lock(mutex_);
  if (cancelled_ || error_status_ != 0) return false;
  try {
    show(index, choices_[index].text.push(token));
  } catch (const std::exception& error) {
    error_status_ = 500;
    error_ = error.what();
    return false;
  }
  return !choices_[index].text.stopped();
}

void CompletionJob::begin_stream() {
  if (std::exchange(begun_, true)) return;
  HttpFields fields = plan_.fields;
  fields.emplace_back("Content-Type", "text/event-stream");
  fields.emplace_back("Cache-Control", "no-cache");
  exchange_->begin(200, std::move(fields));
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    exchange_->write(format_.first_event(static_cast<std::int64_t>(i)));
    const std::string& echo = plan_.echoes[i / static_cast<std::size_t>(plan_.n)];
    if (!echo.empty()) exchange_->write(format_.event(static_cast<std::int64_t>(i), {echo, {}}));
  }
}

void CompletionJob::show(std::size_t index, TextPiece piece) {
  if (piece.empty()) return;
  if (plan_.stream) {
    begin_stream();
    exchange_->write(format_.event(static_cast<std::int64_t>(index), piece));
    return;
  }
  TextPiece& whole = choices_[index].whole;
  whole.text += piece.text;
  std::move(piece.tokens.begin(), piece.tokens.end(), std::back_inserter(whole.tokens));
}

void CompletionJob::on_end(std::size_t index, SequenceResult result) {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - arrival_).count();
  const Lock lock(mutex_);
  // Refusing a token is one more way to cancel.
  if (result.end == SequenceEnd::kStopped && cancelled_ && !choices_[index].text.stopped()) {
    result.end = SequenceEnd::kCancelled;
  }
  sequence_ended_(result, seconds);
  try {
    finish_choice(index, std::move(result));
  } catch (const std::exception& error) {
    error_status_ = 500;
    error_ = error.what();
  }
  choices_[index].ended = true;
  if (--open_ > 0) return;
  // Before the answer's end: a client that has it may rely on its places being free again.
  job_ended_(final_status());
  finish();
}

int CompletionJob::final_status() const {
  if (begun_) return 200;
  if (exchange_->gone()) return 0;
  return error_status_ != 0 ? error_status_ : 200;
}

void CompletionJob::finish_choice(std::size_t index, SequenceResult result) {
  Choice& choice = choices_[index];
  const SequenceEnd end = result.end;
  choice.result = std::move(result);
  if (end == SequenceEnd::kFailed && error_status_ == 0) {
    log_warning("a sequence failed: {}", printable(choice.result.error));
    error_status_ = 500;
    error_ = "The model could not go on: " + choice.result.error;
  }
  if (end == SequenceEnd::kCancelled && error_status_ == 0) {
    error_status_ = 503;
    error_ = "The server is shutting down.";
  }
  if (error_status_ != 0) return;
  show(index, choice.text.finish());
  choice.finish_reason = end == SequenceEnd::kEos || choice.text.stopped() ? "stop" : "length";
  if (!plan_.stream) return;
  begin_stream();
  exchange_->write(format_.end_event(static_cast<std::int64_t>(index), choice.finish_reason));
}

ReplyUsage CompletionJob::usage() const {
  ReplyUsage usage;
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    const SequenceResult& result = choices_[i].result;
    usage.completion_tokens += result.new_tokens;
    if (i % static_cast<std::size_t>(plan_.n) != 0) continue;  // a prompt counts once
    usage.prompt_tokens += result.prompt_tokens;
    usage.cached_tokens += result.cached_tokens;
  }
  return usage;
}

void CompletionJob::finish() {
  if (error_status_ != 0) return finish_with_error();
  if (plan_.stream) {
    if (format_.setting().include_usage) exchange_->write(format_.usage_event(usage()));
    exchange_->write(ReplyFormat::kDone);
    return exchange_->end();
  }
  Json choices = Json::array();
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    TextPiece& whole = choices_[i].whole;
    whole.text.insert(0, plan_.echoes[i / static_cast<std::size_t>(plan_.n)]);
    choices.push_back(format_.choice(static_cast<std::int64_t>(i), whole, choices_[i].finish_reason));
  }
  HttpFields fields = plan_.fields;
  fields.emplace_back("Content-Type", "application/json");
  exchange_->respond(200, std::move(fields), format_.document(choices, usage()));
}

void CompletionJob::finish_with_error() {
  const std::string body = api_error_body(error_status_, error_);
  if (begun_) {
    exchange_->write(ReplyFormat::error_event(body));
    return exchange_->end();
  }
  HttpFields fields = plan_.fields;
  fields.emplace_back("Content-Type", "application/json");
  exchange_->respond(error_status_, std::move(fields), body);
}

}  // namespace kinglet
