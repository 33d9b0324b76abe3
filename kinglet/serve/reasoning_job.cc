#include "kinglet/serve/reasoning_job.h"

#include <utility>

#include "kinglet/base/error.h"
#include "kinglet/base/log.h"
#include "kinglet/methods/fot/trace.h"
#include "kinglet/serve/api_error.h"

namespace kinglet {
namespace {

using Clock = std::chrono::steady_clock;

// Servers between here and the client cut connections on which nothing comes for a minute or so.
constexpr std::chrono::seconds kSilence{15};
constexpr std::string_view kStillThere = ": thinking\n\n";

ReplyUsage usage_of(const fot::CallCost& cost) { return {cost.usage.prompt, cost.usage.cached, cost.usage.completion}; }

}  // namespace

ReasoningJob::ReasoningJob(ReasoningRequest request, std::shared_ptr<HttpExchange> exchange, ReplyFormat format,
                           HttpFields fields, Ended ended)
    : request_(std::move(request)),
      exchange_(std::move(exchange)),
      format_(std::move(format)),
      fields_(std::move(fields)),
      ended_(std::move(ended)),
      forest_(request_.question, request_.task, request_.settings, examples_),
      watch_(forest_),
      last_write_(Clock::now()) {}

void ReasoningJob::watch_client() {
  exchange_->on_gone([weak = weak_from_this()] {
    if (const auto job = weak.lock()) job->client_gone_ = true;
  });
}

void ReasoningJob::break_off(int status, std::string message) {
  if (error_status_ != 0) return;
  error_status_ = status;
  error_ = std::move(message);
}

void ReasoningJob::step(ChatModel& model) {
  if (over_) return;
  if (client_gone_) break_off(503, "the client is gone");
  if (error_status_ != 0) {
    if (!std::exchange(cancelled_, true)) {
      for (const auto& [number, call] : open_) model.cancel(call);
    }
  } else {
    ask(model);
    if (request_.stream) begin_stream();
    if (request_.stream && request_.trace) {
      for (const Json& event : watch_.news()) show(event);
    }
    if (begun_ && Clock::now() - last_write_ > kSilence) {
      exchange_->write(kStillThere);
      last_write_ = Clock::now();
    }
  }
  // Calls that were taken back are waited for: their tokens count too.
  if (open_.empty() && (forest_.ended() || error_status_ != 0)) finish();
}

void ReasoningJob::ask(ChatModel& model) {
  for (fot::ForestCall& call : forest_.take_calls()) {
    const std::uint64_t number = call.number;
    ChatCallbacks callbacks;
    callbacks.on_reply = [this, number, role = call.request.role](ChatReply reply) {
      spent_.add(role, reply);
      take(number, std::move(reply));
    };
    if (request_.stream && request_.trace) {
      callbacks.on_text = [this, tree = call.tree, role = call.request.role](std::string_view piece) {
        show({{"event", "writing"}, {"tree", tree}, {"role", role}, {"text", piece}});
      };
    }
    try {
      open_[number] = model.submit(std::move(call.request), std::move(callbacks));
    } catch (const Error& error) {
      return break_off(400, error.what());
    }
  }
  for (const std::uint64_t number : forest_.take_cancelled()) {
    if (const auto found = open_.find(number); found != open_.end()) model.cancel(found->second);
  }
}

void ReasoningJob::take(std::uint64_t number, ChatReply reply) {
  open_.erase(number);
  if (cancelled_) return;
  if (reply.status == ReplyStatus::kRefused) break_off(502, "The upstream takes no calls: " + reply.error);
  if (reply.status == ReplyStatus::kFailed || reply.status == ReplyStatus::kDeadline) last_failure_ = reply.error;
  forest_.deliver(number, std::move(reply));
}

void ReasoningJob::show(const Json& event) {
  if (client_gone_ || error_status_ != 0) return;
  begin_stream();
  exchange_->write(format_.reasoning_event(event));
  last_write_ = Clock::now();
}

void ReasoningJob::begin_stream() {
  if (std::exchange(begun_, true)) return;
  HttpFields fields = fields_;
  fields.emplace_back("Content-Type", "text/event-stream");
  fields.emplace_back("Cache-Control", "no-cache");
  exchange_->begin(200, std::move(fields));
  exchange_->write(format_.first_event(0));
}

// The chosen answer; where no tree has a label, the first text that there is.
std::string ReasoningJob::text() const {
  const fot::ForestResult& result = forest_.result();
  if (!result.text.empty()) return result.text;
  for (const fot::TreeResult& tree : result.trees) {
    if (!tree.text.empty()) return tree.text;
  }
  return {};
}

Json ReasoningJob::trace() const {
  if (!request_.trace) return nullptr;
  Json json = {{"task", fot::name_of(request_.task)}, {"settings", fot::settings_to_json(request_.settings)}};
  json.update(fot::result_to_json(forest_.result(), fot::TraceDetail::kFull));
  return json;
}

int ReasoningJob::final_status() const {
  if (begun_) return 200;
  if (exchange_->gone()) return 0;
  return error_status_ != 0 ? error_status_ : 200;
}

void ReasoningJob::finish() {
  if (error_status_ == 0 && text().empty() && !last_failure_.empty()) {
    log_warning("a forest failed: {}", printable(last_failure_));
    break_off(502, "The model could not answer: " + last_failure_);
  }
  over_ = true;
  // Before the answer's end: a client that has it may rely on its place being free again.
  ended_(final_status(), forest_.ended() ? forest_.result().total() : spent_);
  if (error_status_ != 0)
    answer_with_error();
  else
    answer();
}

void ReasoningJob::answer() {
  const fot::ForestResult& result = forest_.result();
  const TextPiece whole{text(), {}};
  const char* finish = result.status == "budget" ? "length" : "stop";
  const ReplyUsage usage = usage_of(result.total());
  if (request_.stream) {
    exchange_->write(format_.event(0, whole));
    exchange_->write(format_.end_event(0, finish));
    if (request_.include_usage) exchange_->write(format_.usage_event(usage));
    exchange_->write(ReplyFormat::kDone);
    return exchange_->end();
  }
  HttpFields fields = fields_;
  fields.emplace_back("Content-Type", "application/json");
  exchange_->respond(200, std::move(fields),
                     format_.document(Json::array({format_.choice(0, whole, finish)}), usage, trace()));
}

void ReasoningJob::answer_with_error() {
  const std::string body = api_error_body(error_status_, error_, "", error_status_ == 502 ? "upstream_failed" : "");
  if (begun_) {
    exchange_->write(ReplyFormat::error_event(body));
    return exchange_->end();
  }
  HttpFields fields = fields_;
  fields.emplace_back("Content-Type", "application/json");
  exchange_->respond(error_status_, std::move(fields), body);
}

}  // namespace kinglet
