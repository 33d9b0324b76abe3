// EndpointModel: what happens when an attempt is over.
#include <algorithm>
#include <utility>

#include "kinglet/base/error.h"
#include "kinglet/base/log.h"
#include "kinglet/llm/endpoint_model.h"

namespace kinglet {
namespace {

using State = EndpointCall::State;

constexpr std::chrono::milliseconds kLongestProbePause{10'000};

bool is_answer(const EndpointCall& call) {
  if (!call.outcome || call.status != 200) return false;
  // A connection that breaks behind the end of the stream has done its work.
  return call.outcome->kind == HttpOutcome::Kind::kAnswered || call.reader->at_end();
}

double number_or_zero(const std::string& text) {
  try {
    return text.empty() ? 0 : std::stod(text);
  } catch (const std::exception&) {
    return 0;
  }
}

}  // namespace

void EndpointModel::deliver_text() {
  for (EndpointCall* call : std::exchange(inbox_.with_text, {})) {
    const std::string text = options_.api_key.redact(std::exchange(call->pending_text, {}));
    if (!call->cancelled && !text.empty()) call->callbacks.on_text(text);
  }
}

// Bodies become durable before anybody looks at them.
void EndpointModel::save_answers() {
  if (options_.ledger == nullptr || inbox_.over.empty()) return;
  try {
    for (EndpointCall* call : inbox_.over) {
      if (!is_answer(*call)) continue;
      call->raw = options_.api_key.redact(std::move(call->raw));
      options_.ledger->answered(call->key, call->attempts, call->status, call->raw);
      ledger_changed_ = true;
    }
    commit();
  } catch (const Error& error) {
    // The calls stay "sent" in the ledger, so a later run knows that they are in doubt.
    refused_ = error.what();
    for (EndpointCall* call : std::exchange(inbox_.over, {})) {
      give_up(*call, ReplyStatus::kRefused, error.what(), true);
    }
    refuse_all(error.what());
  }
}

void EndpointModel::judge_attempts(Time now) {
  for (EndpointCall* call : std::exchange(inbox_.over, {})) judge(*call, now);
  for (const CallId id : std::exchange(replays_, {})) {
    const auto found = calls_.find(id);
    if (found == calls_.end()) continue;
    EndpointCall& call = *found->second;
    if (call.ledger_end) {
      give_up(call, *call.ledger_end, call.ledger_error, false);
      continue;
    }
    try {
      ChatReply reply = parse_reply(call.raw);
      reply.replayed = true;
      accept(call, std::move(reply));
    } catch (const Error& error) {
      if (call.attempts <= options_.max_bad_replies) {
        ++call.bad_replies;
        options_.ledger->attempt_ended(call.key, call.attempts, "bad reply", false);
        ledger_changed_ = true;
        queue(call);
      } else {
        give_up(call, ReplyStatus::kFailed, error.what(), false);
      }
    }
  }
}

void EndpointModel::judge(EndpointCall& call, Time now) {
  if (call.outcome->sent) admission_.reachable();
  admission_.learn_limits(number_or_zero(call.headers.limit_requests), number_or_zero(call.headers.limit_tokens));
  if (is_answer(call)) return judge_answer(call, now);
  const auto error = call.status == 200 ? std::nullopt : server_error_in(call.raw);
  std::string what =
      call.outcome->kind == HttpOutcome::Kind::kAnswered ? fmt::format("HTTP {}", call.status) : call.outcome->message;
  if (error && !error->message.empty()) what += ": " + error->message;
  act_on(verdict_of(*call.outcome, call.headers, error), call, what, now);
}

void EndpointModel::judge_answer(EndpointCall& call, Time now) {
  try {
    accept(call, call.reader->finish());
  } catch (const Error& error) {
    if (call.reader->error()) {
      act_on(verdict_of_inner_error(*call.reader->error()), call, error.what(), now);
    } else if (call.bad_replies++ < options_.max_bad_replies) {
      send_again(call, "bad reply", false, options_.backoff.delay(0, jitter_.uniform()));
    } else {
      account(call, false);
      give_up(call, ReplyStatus::kFailed, error.what(), false);
    }
  }
}

void EndpointModel::accept(EndpointCall& call, ChatReply reply) {
  if (reply.usage.estimated) {
    std::size_t bytes = 0;
    for (const ChatMessage& message : call.request.messages) bytes += message.content.size();
    if (reply.usage.prompt == 0) reply.usage.prompt = guessed_tokens(bytes);
    if (reply.usage.completion == 0)
      reply.usage.completion = guessed_tokens(reply.text.size() + reply.reasoning.size());
  }
  const std::int64_t tokens = reply.usage.estimated
                                  ? std::max(call.reserved_tokens, reply.usage.prompt + reply.usage.completion)
                                  : reply.usage.prompt + reply.usage.completion;
  const double money = options_.price ? options_.price->of(reply.usage) : 0;
  if (reply.replayed) {
    if (options_.budget != nullptr) options_.budget->charge({call.attempts, tokens, money});
  } else {
    settle(call, tokens, money, true);
    admission_.succeeded();
  }
  reply.usage += call.usage;
  end(call, std::move(reply));
}

void EndpointModel::act_on(Verdict verdict, EndpointCall& call, const std::string& what, Time now) {
  const auto asked = retry_after(call.headers, std::chrono::system_clock::now());
  switch (verdict) {
    case Verdict::kThrottled:
      admission_.throttled(now, call.sent_at, asked);
      if (!call.throttled_since) call.throttled_since = now;
      if (now - *call.throttled_since > options_.throttled_limit)
        return give_up(call, ReplyStatus::kFailed, what, false);
      return send_again(call, "throttled", false, std::chrono::milliseconds{0});
    case Verdict::kUnreachable:
      return be_unreachable(call, what, now);
    case Verdict::kRetry:
      if (call.retries >= options_.max_retries) return give_up(call, ReplyStatus::kFailed, what, false);
      return send_again(call, "error", false,
                        asked.value_or(options_.backoff.delay(call.retries++, jitter_.uniform())));
    case Verdict::kInDoubt:
      if (call.doubtful_resends >= options_.max_doubtful_resends) {
        account(call, true);
        return give_up(call, ReplyStatus::kFailed, what, true);
      }
      return send_again(call, "in doubt", true, options_.backoff.delay(call.doubtful_resends++, jitter_.uniform()));
    case Verdict::kRefused:
      give_up(call, ReplyStatus::kRefused, what, false);
      return refuse_all(what);
    default:
      return give_up(call, ReplyStatus::kFailed, what, false);
  }
}

// What an attempt without a reply used, as far as that is known; the budget counts the most that it can have been.
void EndpointModel::account(EndpointCall& call, bool doubtful) {
  if (!call.reader) return;
  if (const auto usage = call.reader->usage()) {
    call.usage += *usage;
    settle(call, usage->prompt + usage->completion, options_.price ? options_.price->of(*usage) : 0, true);
  } else if (doubtful) {
    std::size_t bytes = 0;
    for (const ChatMessage& message : call.request.messages) bytes += message.content.size();
    call.usage += TokenUsage{guessed_tokens(bytes), 0, guessed_tokens(call.reader->text_bytes()), 0, true};
    settle(call, call.reserved_tokens, call.reserved.money, true);
  }
}

void EndpointModel::settle(EndpointCall& call, std::int64_t used_tokens, double used_money, bool sent) {
  if (call.state != State::kSent) return;
  call.state = State::kEnded;  // of this attempt: settled once
  admission_.ended(call.reserved_tokens, used_tokens);
  if (options_.budget != nullptr) options_.budget->settle(call.reserved, {sent ? 1 : 0, used_tokens, used_money});
}

void EndpointModel::send_again(EndpointCall& call, std::string_view outcome, bool doubtful,
                               std::chrono::milliseconds delay) {
  account(call, doubtful);
  settle(call, 0, 0, outcome != "throttled");
  if (doubtful) ++call.doubtful;
  if (options_.ledger != nullptr) {
    options_.ledger->attempt_ended(call.key, call.attempts, outcome, doubtful);
    ledger_changed_ = true;
  }
  if (!refused_.empty()) return give_up(call, ReplyStatus::kRefused, refused_, false);
  if (delay.count() == 0)
    queue(call);
  else
    pause(call, delay);
}

void EndpointModel::be_unreachable(EndpointCall& call, const std::string& what, Time now) {
  const auto since = admission_.unreachable_since();
  const auto down =
      since ? std::chrono::duration_cast<std::chrono::milliseconds>(now - *since) : std::chrono::milliseconds{0};
  if (since && down > options_.unreachable_limit) {
    settle(call, 0, 0, false);
    const std::string error = fmt::format("{} (for {} s)", what, down.count() / 1000);
    give_up(call, ReplyStatus::kFailed, error, false);
    end_waiting(ReplyStatus::kFailed, error);
    admission_.reachable();  // calls that come later find out for themselves
    return;
  }
  if (!since) log_warning("{}: {}; trying again", options_.base_url, printable(what));
  const auto longest = std::clamp(down, options_.backoff.base, kLongestProbePause);
  admission_.unreachable(
      now, std::chrono::duration_cast<std::chrono::milliseconds>(longest * (0.5 + jitter_.uniform() / 2)));
  settle(call, 0, 0, false);
  send_again(call, "unreachable", false, std::chrono::milliseconds{0});
  if (call.state == State::kWaiting) --call.attempts;  // nothing was sent
}

void EndpointModel::abort(EndpointCall& call, ReplyStatus status, const std::string& error) {
  if (call.transfer != nullptr) call.outcome = client_.cancel(std::exchange(call.transfer, nullptr));
  std::erase(inbox_.over, &call);
  const bool doubtful = call.state == State::kSent && call.outcome && call.outcome->sent;
  if (doubtful) account(call, true);
  give_up(call, status, error, doubtful);
}

void EndpointModel::give_up(EndpointCall& call, ReplyStatus status, const std::string& error, bool doubtful) {
  settle(call, 0, 0, call.attempts > 0);
  waiting_.erase({-call.request.priority, call.id});
  if (doubtful) ++call.doubtful;
  ChatReply reply;
  reply.status = status;
  reply.error = options_.api_key.redact(printable(error));
  reply.usage = call.usage;
  reply.replayed = call.ledger_end == ReplyStatus::kFailed;
  save_end(call, reply, doubtful);
  end(call, std::move(reply));
}

void EndpointModel::refuse_all(const std::string& error) {
  if (refused_.empty()) refused_ = options_.api_key.redact(error);
  end_waiting(ReplyStatus::kRefused, error);
}

void EndpointModel::end(EndpointCall& call, ChatReply reply) {
  reply.http_status = call.status;
  reply.attempts = call.attempts;
  reply.doubtful = call.doubtful;
  reply.seconds = std::chrono::steady_clock::now() - call.submitted;
  if (!options_.api_key.empty()) {
    reply.text = options_.api_key.redact(std::move(reply.text));
    reply.reasoning = options_.api_key.redact(std::move(reply.reasoning));
    reply.refusal = options_.api_key.redact(std::move(reply.refusal));
  }
  if (options_.meter != nullptr) options_.meter->add(call.request.role, options_.model, reply);
  drop_timer(call);
  if (call.request.deadline) deadlines_.erase({call.submitted + *call.request.deadline, call.id});
  if (!call.key.empty()) open_keys_.erase(call.key);
  std::erase(inbox_.with_text, &call);
  elsewhere_.erase(call.id);
  const auto found = calls_.find(call.id);
  ended_.emplace_back(std::move(found->second), std::move(reply));
  calls_.erase(found);
}

bool EndpointModel::deliver() {
  if (ended_.empty()) return false;
  for (auto& [call, reply] : std::exchange(ended_, {})) {
    if (call->callbacks.on_reply) call->callbacks.on_reply(std::move(reply));
  }
  return true;
}

void EndpointModel::commit() {
  if (options_.ledger == nullptr || !ledger_changed_) return;
  ledger_changed_ = false;
  options_.ledger->commit();
}

}  // namespace kinglet
