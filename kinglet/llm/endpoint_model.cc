#include "kinglet/llm/endpoint_model.h"

#include <algorithm>
#include <random>

#include "kinglet/base/error.h"
#include "kinglet/base/log.h"

namespace kinglet {
namespace {

using Clock = std::chrono::steady_clock;

void check_options(const EndpointOptions& options) {
  const std::string& url = options.base_url;
  if (!url.starts_with("http://") && !url.starts_with("https://")) {
    throw bad_input("base URL", "must begin with http:// or https://", "for example http://127.0.0.1:8080/v1");
  }
  if (url.substr(0, url.find('/', 8)).find('@') != std::string::npos) {
    throw bad_input("base URL", "holds a user name or password", "give the key in a file or in the environment");
  }
  if (options.model.empty()) throw bad_input("model", "is empty", "name the model that the endpoint serves");
}

HttpTarget target_of(const EndpointOptions& options) {
  HttpTarget target;
  target.url = options.base_url;
  while (target.url.ends_with('/')) target.url.pop_back();
  target.url += options.path;
  target.headers = options.headers;
  if (!options.api_key.empty())
    target.headers.push_back(options.api_key.header(options.key_header, options.key_prefix));
  target.proxy = options.proxy;
  target.certificate_authorities = options.certificate_authorities;
  target.connect_timeout = options.connect_timeout;
  return target;
}

}  // namespace

EndpointModel::EndpointModel(HttpClient& client, EndpointOptions options)
    : client_(client),
      options_(std::move(options)),
      target_(target_of(options_)),
      admission_(options_.admission),
      jitter_(options_.jitter_seed != 0 ? options_.jitter_seed : std::random_device()()) {
  check_options(options_);
  if (options_.identity.empty()) options_.identity = options_.base_url;
  client_.join(*this);
}

EndpointModel::~EndpointModel() {
  client_.leave(*this);
  for (auto& [id, call] : calls_) {
    if (call->transfer != nullptr) client_.cancel(call->transfer);
  }
}

CallId EndpointModel::submit(ChatRequest request, ChatCallbacks callbacks) {
  check_request(request);
  if (options_.budget != nullptr && options_.budget->counts_tokens() && !request.max_tokens) {
    throw bad_input("max_tokens", "is not set", "a budget of tokens or money needs a limit for each reply");
  }
  std::string key;
  if (options_.ledger != nullptr) {
    key = run_key(request, options_.identity, options_.model);
    if (open_keys_.contains(key)) {
      throw bad_input("slot", fmt::format("'{}' names a call that is still open", request.slot),
                      "give each call a slot of its own, or another sample number");
    }
  }
  const CallId id = next_id_++;
  auto owner = std::make_unique<EndpointCall>(id, std::move(request), std::move(callbacks), inbox_, Clock::now());
  EndpointCall& call = *owner;
  call.key = std::move(key);
  call.body = request_body(call.request, {options_.model, options_.max_completion_tokens, options_.include_usage});
  if (options_.ledger != nullptr) look_up(call);
  if (!call.key.empty()) open_keys_.insert(call.key);
  if (call.request.deadline) deadlines_.emplace(call.submitted + *call.request.deadline, id);
  calls_.emplace(id, std::move(owner));
  if (call.state == EndpointCall::State::kReplay) {
    replays_.push_back(id);
    next_admission_ = Time::min();
  } else if (call.state == EndpointCall::State::kElsewhere) {
    wait_for_others(call, call.submitted);
  } else {
    queue(call);
  }
  return id;
}

void EndpointModel::queue(EndpointCall& call) {
  call.state = EndpointCall::State::kWaiting;
  waiting_.emplace(-call.request.priority, call.id);
  next_admission_ = Time::min();
}

void EndpointModel::pause(EndpointCall& call, std::chrono::milliseconds delay) {
  call.state = EndpointCall::State::kPausing;
  set_timer(call, Clock::now() + delay);
}

void EndpointModel::set_timer(EndpointCall& call, Time time) {
  drop_timer(call);
  call.timer = time;
  timers_.emplace(time, call.id);
}

void EndpointModel::drop_timer(EndpointCall& call) {
  if (call.timer) timers_.erase({*call.timer, call.id});
  call.timer.reset();
}

void EndpointModel::cancel(CallId id) {
  const auto found = calls_.find(id);
  if (found == calls_.end() || found->second->cancelled) return;
  found->second->cancelled = true;
  cancelled_.push_back(id);
}

void EndpointModel::stop_sending() { end_waiting(ReplyStatus::kCancelled, "no more calls are sent"); }

void EndpointModel::end_waiting(ReplyStatus status, const std::string& error) {
  std::vector<CallId> ids;
  for (const auto& [id, call] : calls_) {
    const bool connecting = call->transfer != nullptr && !HttpClient::was_sent(*call->transfer);
    const bool waiting = call->state == EndpointCall::State::kWaiting || call->state == EndpointCall::State::kPausing;
    // What has failed here may go well elsewhere.
    const bool left_to_others = call->state == EndpointCall::State::kElsewhere && status != ReplyStatus::kFailed;
    if (connecting || waiting || left_to_others) ids.push_back(id);
  }
  std::ranges::sort(ids);
  for (const CallId id : ids) abort(*calls_.at(id), status, error);
}

bool EndpointModel::poll(std::chrono::milliseconds wait) {
  if (calls_.empty()) return false;
  client_.poll(wait);
  return !calls_.empty();
}

EndpointModel::Time EndpointModel::next_tick() {
  if (!cancelled_.empty() || !replays_.empty() || !inbox_.over.empty() || !ended_.empty()) return Time::min();
  Time next = timers_.empty() ? Time::max() : timers_.begin()->first;
  if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first);
  if (!waiting_.empty()) next = std::min(next, next_admission_);
  if (!elsewhere_.empty()) next = std::min(next, next_look_);
  return next;
}

bool EndpointModel::tick() {
  const Time now = Clock::now();
  deliver_text();
  save_answers();
  judge_attempts(now);
  run_timers(now);
  look_at_others(now);
  const bool ended = deliver();
  admit(Clock::now());
  try {
    commit();
  } catch (const Error& error) {
    refuse_all(error.what());
  }
  return deliver() || ended;
}

void EndpointModel::run_timers(Time now) {
  for (const CallId id : std::exchange(cancelled_, {})) {
    const auto found = calls_.find(id);
    if (found != calls_.end()) abort(*found->second, ReplyStatus::kCancelled, "cancelled");
  }
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    EndpointCall& call = *calls_.at(deadlines_.begin()->second);
    abort(call, ReplyStatus::kDeadline, fmt::format("no reply within its {} ms", call.request.deadline->count()));
  }
  while (!timers_.empty() && timers_.begin()->first <= now) {
    EndpointCall& call = *calls_.at(timers_.begin()->second);
    drop_timer(call);
    if (call.state == EndpointCall::State::kPausing)
      queue(call);
    else
      check_times(call, now);
  }
}

void EndpointModel::check_times(EndpointCall& call, Time now) {
  if (call.transfer == nullptr) return;
  const bool begun = call.last_bytes != call.sent_at;
  const Time idle = begun ? call.last_bytes + options_.idle_timeout : Time::max();
  const Time total = call.sent_at + options_.attempt_timeout;
  if (now < std::min(idle, total)) {
    // An answer that begins brings the idle timeout with it: look again when that could be over.
    set_timer(call, std::min(total, begun ? idle : now + options_.idle_timeout));
    return;
  }
  HttpOutcome outcome = client_.cancel(call.transfer);
  outcome.message = now >= total ? fmt::format("no whole answer within {} ms", options_.attempt_timeout.count())
                                 : fmt::format("no byte for {} ms", options_.idle_timeout.count());
  call.on_end(std::move(outcome));
}

bool EndpointModel::reserve(EndpointCall& call) {
  const std::int64_t prompt = prompt_token_bound(call.request);
  const std::int64_t reply = call.request.max_tokens.value_or(options_.assumed_reply_tokens);
  call.reserved_tokens = prompt + reply;
  if (options_.budget == nullptr) return true;
  call.reserved = {1, call.reserved_tokens, options_.price ? options_.price->of({prompt, 0, reply, 0, true}) : 0};
  switch (options_.budget->room_for(call.reserved)) {
    case Budget::Room::kYes:
      return true;
    case Budget::Room::kLater:
      return false;
    default:
      waiting_.erase({-call.request.priority, call.id});
      give_up(call, ReplyStatus::kBudget, "the budget is used up", false);
      return false;
  }
}

void EndpointModel::admit(Time now) {
  next_admission_ = Time::max();
  if (waiting_.empty()) return;
  if (!refused_.empty()) return refuse_all(refused_);
  try {
    if (options_.ledger != nullptr && !options_.ledger->has_space()) {
      refuse_all("the disk is nearly full: nothing more is sent, so that the answers under way can be saved");
      return;
    }
    std::vector<EndpointCall*> group;
    while (!waiting_.empty() && client_.transfers() + group.size() < client_.max_transfers()) {
      const CallId id = waiting_.begin()->second;
      EndpointCall& call = *calls_.at(id);
      if (!reserve(call)) {
        if (calls_.contains(id)) break;  // there will be room when another call has ended
        continue;
      }
      if (!admission_.may_send(now, call.reserved_tokens)) {
        next_admission_ = admission_.next_chance(now, call.reserved_tokens).value_or(Time::max());
        break;
      }
      if (!claim(call, now)) continue;
      waiting_.erase({-call.request.priority, id});
      admission_.sent(now, call.reserved_tokens);
      if (options_.budget != nullptr) options_.budget->reserve(call.reserved);
      call.begin_attempt(now, options_.max_body_bytes, options_.ledger != nullptr);
      group.push_back(&call);
    }
    send(group, now);
  } catch (const Error& error) {
    refuse_all(error.what());
  }
}

// The ledger first, durable for the whole group at once; then the network.
void EndpointModel::send(const std::vector<EndpointCall*>& group, Time now) {
  if (group.empty()) return;
  try {
    if (options_.ledger != nullptr) {
      for (const EndpointCall* call : group) {
        options_.ledger->sent(call->key, call->request.slot, call->request.role, call->attempts, call->reserved_tokens);
      }
      options_.ledger->commit();
      ledger_changed_ = false;
    }
  } catch (const Error& error) {
    for (EndpointCall* call : group) {
      --call->attempts;  // nothing was sent
      settle(*call, 0, 0, false);
      call->state = EndpointCall::State::kWaiting;
    }
    throw;
  }
  for (EndpointCall* call : group) {
    const std::string idempotency =
        options_.idempotency_header.empty() || call->key.empty() ? "" : options_.idempotency_header + ": " + call->key;
    try {
      call->transfer = client_.start(target_, call->body, idempotency, *call);
    } catch (const Error& error) {
      call->on_end({HttpOutcome::Kind::kUnreachable, 0, false, error.what()});
    }
    set_timer(*call, now + std::min(options_.attempt_timeout, options_.idle_timeout));
  }
}

}  // namespace kinglet
