// EndpointModel: what the ledger knows of a call, and calls that several processes share.
#include <algorithm>

#include "kinglet/base/error.h"
#include "kinglet/llm/endpoint_model.h"

namespace kinglet {
namespace {

constexpr std::chrono::milliseconds kLookAtOthers{100};
// Claimed at once, at most: few, so that other processes find work while this one waits at its gates.
constexpr int kMostClaims = 16;

}  // namespace

void EndpointModel::look_up(EndpointCall& call) {
  const auto entry = options_.ledger->find(call.key);
  if (!entry) return;
  call.attempts = entry->attempts;
  call.doubtful = entry->doubtful;
  switch (entry->state) {
    case LedgerEntry::State::kAnswered:
      call.state = EndpointCall::State::kReplay;
      call.status = entry->status;
      call.raw = entry->body;
      return;
    case LedgerEntry::State::kElsewhere:
      call.state = EndpointCall::State::kElsewhere;
      return;
    case LedgerEntry::State::kFailed:
      if (!entry->settled) return;
      call.state = EndpointCall::State::kReplay;
      call.status = entry->status;
      call.ledger_end = ReplyStatus::kFailed;
      call.ledger_error = entry->error;
      return;
    default:
      break;
  }
  if (options_.in_doubt == InDoubtPolicy::kSkip) {
    ++call.doubtful;
    call.state = EndpointCall::State::kReplay;
    call.ledger_end = ReplyStatus::kInDoubt;
    call.ledger_error = "sent by an earlier run, and perhaps billed; it is not sent again";
  } else if (call.claimed || !options_.ledger->shared()) {
    ++call.doubtful;
    options_.ledger->attempt_ended(call.key, call.attempts, "in doubt", true);
    ledger_changed_ = true;
  }
}

// Asks for `first`, which waits, and for some that wait behind it. False: it no longer waits to be sent.
bool EndpointModel::claim(EndpointCall& first, Time now) {
  if (first.claimed || options_.ledger == nullptr || !options_.ledger->shared()) return true;
  const int room = admission_.limit() - admission_.in_flight();
  const auto most = static_cast<std::size_t>(std::clamp(room, 1, kMostClaims));
  std::vector<EndpointCall*> asked;
  std::vector<std::string> keys;
  for (const auto& [priority, id] : waiting_) {
    EndpointCall& call = *calls_.at(id);
    if (call.claimed) continue;
    asked.push_back(&call);
    keys.push_back(call.key);
    if (asked.size() == most) break;
  }
  const auto claims = options_.ledger->claim(keys, options_.in_doubt == InDoubtPolicy::kResend);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    EndpointCall& call = *asked[i];
    if (claims[i] == CallLedger::Claim::kNo) {
      waiting_.erase({-call.request.priority, call.id});
      wait_for_others(call, now);
      continue;
    }
    call.claimed = true;
    if (claims[i] == CallLedger::Claim::kTakenOver) look_up(call);
  }
  return first.claimed;
}

void EndpointModel::wait_for_others(EndpointCall& call, Time now) {
  call.state = EndpointCall::State::kElsewhere;
  if (elsewhere_.empty()) next_look_ = now + kLookAtOthers;
  elsewhere_.insert(call.id);
}

// Calls of other processes that have an answer by now, or whose process has died.
void EndpointModel::look_at_others(Time now) {
  if (elsewhere_.empty() || now < next_look_) return;
  next_look_ = now + kLookAtOthers;
  try {
    std::unordered_map<std::string, CallId> by_key;
    std::vector<std::string> keys;
    for (const CallId id : elsewhere_) {
      keys.push_back(calls_.at(id)->key);
      by_key.emplace(keys.back(), id);
    }
    for (const std::string& key : options_.ledger->free_of(keys)) {
      EndpointCall& call = *calls_.at(by_key.at(key));
      call.state = EndpointCall::State::kWaiting;
      look_up(call);
      if (call.state == EndpointCall::State::kElsewhere) continue;
      elsewhere_.erase(call.id);
      if (call.state == EndpointCall::State::kReplay)
        replays_.push_back(call.id);
      else
        queue(call);
    }
  } catch (const Error& error) {
    refuse_all(error.what());
  }
}

// The end of a call that has no reply. What ended here alone (cancelled, no budget, a key that is refused) may be sent
// by others.
void EndpointModel::save_end(EndpointCall& call, const ChatReply& reply, bool doubtful) {
  if (options_.ledger == nullptr || call.ledger_end || !refused_.empty()) return;
  const bool shared = options_.ledger->shared(), for_all = reply.status == ReplyStatus::kFailed;
  if (shared && !call.claimed) return;
  try {
    if (call.attempts > 0 || (shared && for_all)) {
      options_.ledger->failed(call.key, call.attempts, call.status, reply.error, options_.api_key.redact(call.raw),
                              doubtful);
      ledger_changed_ = true;
    }
    if (shared && !for_all) options_.ledger->release(call.key);
  } catch (const Error& problem) {
    refused_ = problem.what();
  }
}

}  // namespace kinglet
