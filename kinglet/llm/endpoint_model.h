// ChatModel over an OpenAI-compatible endpoint: OpenAI, Azure, vLLM, SGLang, llama.cpp's server, Ollama and others.
//
// Calls wait in a queue of this class until three gates are open: the adaptive limit and the buckets of Admission, the
// budget, and the client's limit over all endpoints. Then they are written into the ledger and sent; their bodies are
// durable in the ledger before they are looked at. See retry_policy.h for what happens to attempts that fail.
//
// A request that was sent and got no whole answer is in doubt: the provider may have billed it. It is sent again at
// most once (max_doubtful_resends), and counted in ChatReply::doubtful, in CostMeter and in the ledger.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kinglet/base/rng.h"
#include "kinglet/llm/chat_model.h"
#include "kinglet/llm/endpoint_call.h"
#include "kinglet/llm/endpoint_options.h"
#include "kinglet/llm/http_client.h"

namespace kinglet {

class EndpointModel final : public ChatModel, private HttpClient::Participant {
 public:
  // `client` is shared by any number of endpoints and must outlive them; poll() of one drives them all. Raises Error
  // (bad input) for options that cannot work: no model, a URL without http, one that holds a password.
  EndpointModel(HttpClient& client, EndpointOptions options);
  ~EndpointModel() override;  // drops open calls without a callback, closing their connections

  // Also raises Error (bad input) when a call with the same run key is still open (needs a ledger), or when a budget
  // counts tokens and the request has no max_tokens.
  CallId submit(ChatRequest request, ChatCallbacks callbacks) override;
  void cancel(CallId call) override;
  bool poll(std::chrono::milliseconds wait) override;
  std::size_t open_calls() const override { return calls_.size(); }
  std::string_view name() const override { return options_.model; }

  // Calls of which nothing has been sent end with kCancelled, those under way go on to their end.
  void stop_sending();

  int in_flight() const { return admission_.in_flight(); }
  int current_limit() const { return admission_.limit(); }

 private:
  using Time = EndpointCall::Time;

  bool tick() override;
  Time next_tick() override;

  // endpoint_model.cc: the way of a call until it is sent.
  void queue(EndpointCall& call);
  void pause(EndpointCall& call, std::chrono::milliseconds delay);
  void set_timer(EndpointCall& call, Time time);
  void drop_timer(EndpointCall& call);
  void end_waiting(ReplyStatus status, const std::string& error);
  void run_timers(Time now);
  void check_times(EndpointCall& call, Time now);
  void admit(Time now);
  bool reserve(EndpointCall& call);
  void send(const std::vector<EndpointCall*>& group, Time now);

  // endpoint_claims.cc: what the ledger knows of a call, and calls that several processes share.
  void look_up(EndpointCall& call);
  bool claim(EndpointCall& first, Time now);
  void wait_for_others(EndpointCall& call, Time now);
  void look_at_others(Time now);
  void save_end(EndpointCall& call, const ChatReply& reply, bool doubtful);

  // endpoint_attempts.cc: what happens when an attempt is over.
  void save_answers();
  void judge_attempts(Time now);
  void judge(EndpointCall& call, Time now);
  void accept(EndpointCall& call, ChatReply reply);
  void judge_answer(EndpointCall& call, Time now);
  void act_on(Verdict verdict, EndpointCall& call, const std::string& what, Time now);
  void send_again(EndpointCall& call, std::string_view outcome, bool doubtful, std::chrono::milliseconds delay);
  void be_unreachable(EndpointCall& call, const std::string& what, Time now);
  void give_up(EndpointCall& call, ReplyStatus status, const std::string& error, bool doubtful);
  void abort(EndpointCall& call, ReplyStatus status, const std::string& error);
  void account(EndpointCall& call, bool doubtful);
  void settle(EndpointCall& call, std::int64_t used_tokens, double used_money, bool sent);
  void refuse_all(const std::string& error);
  void end(EndpointCall& call, ChatReply reply);
  bool deliver();
  void deliver_text();
  void commit();

  HttpClient& client_;
  EndpointOptions options_;
  HttpTarget target_;
  Admission admission_;
  Rng jitter_;
  std::unordered_map<CallId, std::unique_ptr<EndpointCall>> calls_;
  std::unordered_set<std::string> open_keys_;
  std::set<std::pair<int, CallId>> waiting_;  // (-priority, id)
  std::set<CallId> elsewhere_;                // claimed by other processes
  Time next_look_ = Time::max();              // at those
  std::vector<CallId> replays_;
  std::vector<CallId> cancelled_;
  std::set<std::pair<Time, CallId>> timers_;  // when to look at a call again; at most one a call
  std::set<std::pair<Time, CallId>> deadlines_;
  EndpointCall::Inbox inbox_;
  std::vector<std::pair<std::unique_ptr<EndpointCall>, ChatReply>> ended_;
  Time next_admission_ = Time::max();
  bool ledger_changed_ = false;
  std::string refused_;  // why nothing is sent any more
  CallId next_id_ = 1;
};

}  // namespace kinglet
