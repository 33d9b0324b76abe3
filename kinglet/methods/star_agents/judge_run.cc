#include "kinglet/methods/star_agents/judge_run.h"

#include <chrono>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"

namespace kinglet::star_agents {
namespace {

constexpr std::size_t kOpenComparisons = 512;  // more would only take memory

class JudgeRun {
 public:
  JudgeRun(ChatModel& model, std::span<const Comparison> comparisons, const JudgeSettings& settings,
           std::uint64_t run_seed, const std::function<void()>& on_done)
      : model_(model),
        comparisons_(comparisons),
        settings_(settings),
        run_seed_(run_seed),
        on_done_(on_done),
        results_(comparisons.size()),
        open_(comparisons.size(), 0) {}

  std::vector<ComparisonResult> run() {
    std::size_t next = 0;
    while (done_ < comparisons_.size()) {
      while (next < comparisons_.size() && next - done_ < kOpenComparisons) start(next++);
      model_.poll(std::chrono::milliseconds(50));
      if (interrupted() || !stop_reason_.empty()) cancel();
      check_interrupt();
      if (!stop_reason_.empty()) throw failed(model_.name(), stop_reason_, "remove the cause and start again");
    }
    return std::move(results_);
  }

 private:
  void start(std::size_t index) {
    const Comparison& one = comparisons_[index];
    if (one.base.answer == one.candidate.answer && one.base.question == one.candidate.question) {
      results_[index].score = 0.5;
      end(index);
      return;
    }
    if (settings_.both_orders) {
      open_[index] = 2;
      ask(index, true, false);
      ask(index, false, false);
    } else {
      open_[index] = 1;
      Rng rng = stream_of(run_seed_, one.id, "order");
      ask(index, rng.below(2) == 0, false);
    }
  }

  void ask(std::size_t index, bool candidate_first, bool again) {
    const Comparison& one = comparisons_[index];
    JudgePrompt prompt =
        candidate_first ? judge_prompt(one.candidate, one.base) : judge_prompt(one.base, one.candidate);
    ChatRequest request;
    request.messages = {{"system", std::move(prompt.system)}, {"user", std::move(prompt.user)}};
    request.temperature = settings_.sampling.temperature;
    request.top_p = settings_.sampling.top_p;
    request.max_tokens = settings_.sampling.max_tokens;
    request.stop = settings_.sampling.stop;
    request.role = "judge";
    request.slot = fmt::format("{}/judge-{}{}", one.id, candidate_first ? "AB" : "BA", again ? "/again" : "");
    ChatCallbacks callbacks;
    callbacks.on_reply = [this, index, candidate_first, again](const ChatReply& reply) {
      take(index, candidate_first, again, reply);
    };
    try {
      calls_.insert(model_.submit(std::move(request), std::move(callbacks)));
    } catch (const Error& error) {
      stop_reason_ = error.what();
    }
  }

  void take(std::size_t index, bool candidate_first, bool again, const ChatReply& reply) {
    if (reply.status == ReplyStatus::kCancelled) return;
    if (reply.status == ReplyStatus::kRefused || reply.status == ReplyStatus::kBudget) {
      stop_reason_ = reply.error;
      return;
    }
    const auto verdict = reply.done() ? parse_verdict(reply.text) : std::nullopt;
    if (!verdict && !again) {
      ask(index, candidate_first, true);
      return;
    }
    ComparisonResult& result = results_[index];
    (candidate_first ? result.shown_first : result.shown_second) = verdict;
    if (--open_[index] > 0) return;
    if (result.shown_first && result.shown_second)
      result.score = judge_score(*result.shown_first, *result.shown_second);
    else if (!settings_.both_orders && verdict)
      result.score = judge_score(*verdict, candidate_first);
    end(index);
  }

  void end(std::size_t) {
    ++done_;
    if (on_done_) on_done_();
  }

  void cancel() {
    for (const CallId call : calls_) model_.cancel(call);
    while (model_.open_calls() > 0) model_.poll(std::chrono::milliseconds(10));
  }

  ChatModel& model_;
  std::span<const Comparison> comparisons_;
  const JudgeSettings& settings_;
  std::uint64_t run_seed_;
  const std::function<void()>& on_done_;
  std::vector<ComparisonResult> results_;
  std::vector<int> open_;
  std::set<CallId> calls_;
  std::size_t done_ = 0;
  std::string stop_reason_;
};

}  // namespace

std::vector<ComparisonResult> judge_all(ChatModel& model, std::span<const Comparison> comparisons,
                                        const JudgeSettings& settings, std::uint64_t run_seed,
                                        const std::function<void()>& on_done) {
  return JudgeRun(model, comparisons, settings, run_seed, on_done).run();
}

}  // namespace kinglet::star_agents
