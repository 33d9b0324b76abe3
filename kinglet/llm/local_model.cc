#include "kinglet/llm/local_model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/text/continued_text.h"
#include "kinglet/text/stop_strings.h"

namespace kinglet {
namespace {

using Clock = std::chrono::steady_clock;

void refuse(const std::string& where, const std::string& what, const std::string& remedy) {
  throw bad_input(where, what, remedy);
}

double number_of(const Json& value, const std::string& name) {
  if (!value.is_number()) refuse("request: " + name, "it must be a number", "correct the request");
  return value.get<double>();
}

void apply_extra(const Json& extra, TokenChoice& choice) {
  for (const auto& [name, value] : extra.items()) {
    if (name == "top_k") {
      choice.top_k = static_cast<std::int64_t>(number_of(value, name));
    } else if (name == "min_p") {
      choice.min_p = number_of(value, name);
    } else if (name == "repetition_penalty") {
      choice.repetition_penalty = number_of(value, name);
    } else {
      refuse("request: " + name, "a local model does not know this field", "leave it out, or ask an endpoint");
    }
  }
}

Json template_messages(const ChatRequest& request) {
  Json messages = Json::array();
  for (const ChatMessage& message : request.messages) {
    messages.push_back({{"role", message.role}, {"content", message.content}});
  }
  return messages;
}

ChatReply reply_that(ReplyStatus status, std::string error) {
  ChatReply reply;
  reply.status = status;
  reply.error = std::move(error);
  return reply;
}

}  // namespace

// What the engine's thread says, until the next poll().
struct LocalModel::Events {
  struct Heard {
    std::vector<EngineToken> tokens;
    std::optional<SequenceResult> result;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::map<CallId, Heard> heard;
  bool closed = false;
};

struct LocalModel::Call {
  Call(ChatRequest asked, ChatCallbacks told)
      : request(std::move(asked)), callbacks(std::move(told)), stop(request.stop), start(Clock::now()) {}

  ChatRequest request;
  ChatCallbacks callbacks;
  ChatReply reply;
  std::optional<ContinuedText> text;
  StopStrings stop;
  std::uint64_t sequence = 0;  // 0: not in the engine
  Clock::time_point start;
  ReplyStatus ended_early = ReplyStatus::kDone;  // why the engine was told to cancel
  std::string failure;                           // of submit()
};

LocalModel::LocalModel(LocalEngine parts, CostMeter* meter)
    : parts_(std::move(parts)),
      meter_(meter),
      bytes_(std::make_unique<TokenBytes>(*parts_.tokenizer)),
      events_(std::make_shared<Events>()) {
  if (!parts_.chat_template) refuse(parts_.name, "the model has no chat template", "use one that was tuned for chat");
}

LocalModel::~LocalModel() {
  {
    const std::lock_guard lock(events_->mutex);
    events_->closed = true;
  }
  for (const auto& [id, call] : calls_) {
    if (call->sequence != 0) parts_.engine->cancel(call->sequence);
  }
}

TokenRequest LocalModel::token_request(const ChatRequest& request) const {
  if (request.json_schema) refuse("request: json_schema", "a local model does not offer it", "ask an endpoint");
  ChatOptions options;
  options.add_generation_prompt = true;
  TokenRequest result;
  result.prompt = parts_.tokenizer->encode(parts_.chat_template->render(template_messages(request), options), false);
  const auto room = parts_.engine->max_positions() - static_cast<std::int64_t>(result.prompt.size()) + 1;
  result.max_tokens = request.max_tokens.value_or(std::max<std::int64_t>(room, 1));
  result.choice.temperature = request.temperature.value_or(1.0);
  result.choice.top_p = request.top_p.value_or(1.0);
  result.choice.seed = request.seed.value_or(0);
  if (!request.extra.is_null()) apply_extra(request.extra, result.choice);
  result.sequence = request.sample;
  result.eos = parts_.eos;
  if (request.log_probs) result.top_log_probabilities = request.top_log_probs;
  return result;
}

CallId LocalModel::submit(ChatRequest request, ChatCallbacks callbacks) {
  check_request(request);
  const CallId id = next_++;
  auto call = std::make_unique<Call>(std::move(request), std::move(callbacks));
  try {
    TokenRequest tokens = token_request(call->request);
    call->text.emplace(*parts_.tokenizer, tokens.prompt);
    const auto events = events_;
    call->sequence = parts_.engine->submit(std::move(tokens), {[events, id](const EngineToken& token) {
                                                                 const std::lock_guard lock(events->mutex);
                                                                 if (events->closed) return false;
                                                                 events->heard[id].tokens.push_back(token);
                                                                 events->changed.notify_all();
                                                                 return true;
                                                               },
                                                               [events, id](const SequenceResult& result) {
                                                                 const std::lock_guard lock(events->mutex);
                                                                 if (events->closed) return;
                                                                 events->heard[id].result = result;
                                                                 events->changed.notify_all();
                                                               }});
  } catch (const Error& error) {
    call->failure = error.what();
  }
  calls_.emplace(id, std::move(call));
  return id;
}

void LocalModel::cancel(CallId call) {
  const auto found = calls_.find(call);
  if (found == calls_.end()) return;
  found->second->ended_early = ReplyStatus::kCancelled;
  if (found->second->sequence != 0) parts_.engine->cancel(found->second->sequence);
}

bool LocalModel::poll(std::chrono::milliseconds wait) {
  std::vector<CallId> failed;
  for (auto& [id, call] : calls_) {
    if (call->sequence == 0) failed.push_back(id);
    const auto deadline = call->request.deadline;
    if (!deadline || call->ended_early != ReplyStatus::kDone || Clock::now() - call->start < *deadline) continue;
    call->ended_early = ReplyStatus::kDeadline;
    parts_.engine->cancel(call->sequence);
  }
  for (const CallId id : failed) {
    const Call& call = *calls_.at(id);
    end_with(id, call.ended_early != ReplyStatus::kDone ? reply_that(call.ended_early, "cancelled")
                                                        : reply_that(ReplyStatus::kFailed, call.failure));
  }
  std::map<CallId, Events::Heard> heard;
  {
    std::unique_lock lock(events_->mutex);
    if (!calls_.empty() && failed.empty()) {
      events_->changed.wait_for(lock, wait, [&] { return !events_->heard.empty(); });
    }
    heard.swap(events_->heard);
  }
  for (auto& [id, news] : heard) {
    const auto found = calls_.find(id);
    if (found == calls_.end()) continue;
    take_tokens(*found->second, news.tokens);
    if (news.result) end(id, *news.result);
  }
  return !calls_.empty();
}

void LocalModel::take_tokens(Call& call, const std::vector<EngineToken>& tokens) {
  const auto text_of = [&](TokenId token) { return readable_token(bytes_->of(token).value_or(std::string())); };
  std::string fresh;
  for (const EngineToken& token : tokens) {
    if (call.stop.found()) break;  // the engine was a few tokens ahead
    ++call.reply.usage.completion;
    if (call.request.log_probs) {
      TokenLogProb& entry = call.reply.log_probs.emplace_back();
      entry.token = text_of(token.token);
      entry.log_prob = token.log_probability;
      for (const TokenAlternative& other : token.alternatives) {
        entry.alternatives.push_back({text_of(other.token), other.log_probability});
      }
    }
    const bool is_end = std::find(parts_.eos.begin(), parts_.eos.end(), token.token) != parts_.eos.end();
    if (is_end || token.token >= parts_.tokenizer->vocabulary_size()) continue;
    fresh += call.stop.push(call.text->push(token.token));
    if (call.stop.found()) parts_.engine->cancel(call.sequence);
  }
  call.reply.text += fresh;
  if (call.callbacks.on_text && call.request.stream && !fresh.empty()) call.callbacks.on_text(fresh);
}

void LocalModel::end(CallId id, const SequenceResult& result) {
  Call& call = *calls_.at(id);
  ChatReply& reply = call.reply;
  if (!call.stop.found()) {
    const std::string rest = call.stop.push(call.text->finish()) + call.stop.finish();
    reply.text += rest;
    if (call.callbacks.on_text && call.request.stream && !rest.empty()) call.callbacks.on_text(rest);
  }
  reply.usage.prompt = result.prompt_tokens;
  reply.usage.cached = result.cached_tokens;
  if (result.end == SequenceEnd::kFailed) {
    reply.status = ReplyStatus::kFailed;
    reply.error = result.error;
  } else if (!call.stop.found() && result.end == SequenceEnd::kCancelled) {
    const bool deadline = call.ended_early == ReplyStatus::kDeadline;
    reply.status = deadline ? ReplyStatus::kDeadline : ReplyStatus::kCancelled;
    reply.error = deadline ? "its time was over" : "cancelled";
  } else {
    const bool full = result.end == SequenceEnd::kLength && !call.stop.found();
    reply.finish_reason = full ? FinishReason::kLength : FinishReason::kStop;
  }
  if (call.callbacks.on_text && !call.request.stream && !reply.text.empty()) call.callbacks.on_text(reply.text);
  end_with(id, std::move(reply));
}

void LocalModel::end_with(CallId id, ChatReply reply) {
  const std::unique_ptr<Call> call = std::move(calls_.at(id));
  calls_.erase(id);  // first: the callback may submit and cancel
  reply.model = parts_.name;
  reply.attempts = call->sequence != 0 ? 1 : 0;
  reply.seconds = Clock::now() - call->start;
  if (meter_ != nullptr) meter_->add(call->request.role, parts_.name, reply);
  call->callbacks.on_reply(std::move(reply));
}

}  // namespace kinglet
