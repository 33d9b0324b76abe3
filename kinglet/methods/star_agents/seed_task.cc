#include "kinglet/methods/star_agents/seed_task.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/methods/star_agents/answer_check.h"

namespace kinglet::star_agents {
namespace {

// Calls of early waves go first, and of one wave those that are nearer to its end.
int priority_of(std::size_t wave, std::string_view role) {
  const int stage = role == "judge" ? 2 : role == "answer" ? 1 : 0;
  return stage - 3 * static_cast<int>(std::min<std::size_t>(wave, 1U << 24));
}

std::string problem_of_reply(const ChatReply& reply) {
  if (!reply.done()) return fmt::format("failed: {}", reply.error.empty() ? name_of(reply.status) : reply.error);
  if (reply.finish_reason == FinishReason::kLength) return "truncated";
  if (reply.finish_reason == FinishReason::kContentFilter || !reply.refusal.empty()) return "refusal";
  return {};
}

}  // namespace

SeedTask::SeedTask(const TaskEnvironment& environment, const Seed& seed, std::size_t index, std::size_t wave,
                   const std::vector<Draw>& draws)
    : environment_(environment), seed_(seed), wave_(wave) {
  outcome_.seed = index;
  outcome_.candidates.resize(draws.size() + 1);
  for (std::size_t i = 0; i < draws.size(); ++i) {
    outcome_.candidates[i + 1].pair = draws[i].pair;
    outcome_.candidates[i + 1].probability = draws[i].probability;
  }
  for (CandidateOutcome& candidate : outcome_.candidates) candidate.instruction = seed.instruction();
}

const ResponseAgent& SeedTask::response_agent(std::size_t candidate) const {
  const Settings& settings = environment_.settings;
  const auto& pair = outcome_.candidates[candidate].pair;
  return settings.response_agents[pair ? settings.pairs[*pair].response : *settings.base_agent];
}

void SeedTask::call(const std::string& model, ChatRequest request, const std::string& role, const std::string& slot,
                    std::function<void(ChatReply)> on_reply) {
  if (environment_.stopping) return;
  request.role = role;
  request.slot = seed_.id + "/" + slot;
  request.priority = priority_of(wave_, role);
  const auto found = environment_.models.find(model);
  assert(found != environment_.models.end());
  const std::uint64_t number = next_call_++;
  ChatCallbacks callbacks;
  callbacks.on_reply = [this, number, model, role, on_reply = std::move(on_reply)](ChatReply reply) {
    open_calls_.erase(number);
    if (reply.status == ReplyStatus::kCancelled) return;
    if (reply.status == ReplyStatus::kRefused || reply.status == ReplyStatus::kBudget) {
      environment_.stop(fmt::format("model '{}': {}", model, reply.error));
      return;
    }
    outcome_.usage[role] += reply.usage;
    on_reply(std::move(reply));
  };
  try {
    open_calls_[number] = {found->second, found->second->submit(std::move(request), std::move(callbacks))};
  } catch (const Error& error) {  // callbacks must not throw
    environment_.stop(fmt::format("model '{}': {}", model, error.what()));
  }
}

void SeedTask::cancel() {
  for (const auto& [number, call] : open_calls_) call.first->cancel(call.second);
}

void SeedTask::start() {
  const Settings& settings = environment_.settings;
  open_answers_ = outcome_.candidates.size();
  std::map<std::size_t, std::vector<std::size_t>> by_instruction_agent;
  for (std::size_t i = 1; i < outcome_.candidates.size(); ++i) {
    const std::size_t agent = settings.pairs[*outcome_.candidates[i].pair].instruction;
    if (settings.instruction_agents[agent].rewrites())
      by_instruction_agent[agent].push_back(i);
    else
      answer(i, seed_.instruction());
  }
  // One rewriting an agent: its pairs then answer the same question.
  for (auto& [agent, candidates] : by_instruction_agent) rewrite(agent, std::move(candidates));
  if (settings.base_agent) {
    answer(0, seed_.instruction());
  } else {
    outcome_.candidates[0].response = seed_.response;
    outcome_.candidates[0].model = "seed";
    if (const std::string problem = problem_of_answer(seed_.response, seed_.instruction()); !problem.empty()) {
      outcome_.candidates[0].problem = problem;
    }
    --open_answers_;
    end_generation();
  }
}

void SeedTask::rewrite(std::size_t instruction_agent, std::vector<std::size_t> candidates) {
  const InstructionAgent& agent = environment_.settings.instruction_agents[instruction_agent];
  Rng rng = stream_of(environment_.settings.run_seed, seed_.id, "rewrite/" + agent.name);
  call(agent.model, rewriting_request(agent, seed_, rng), "rewrite", "rewrite/" + agent.name,
       [this, candidates = std::move(candidates)](ChatReply reply) {
         const bool usable =
             problem_of_reply(reply).empty() && problem_of_rewriting(reply.text, seed_.instruction()).empty();
         for (const std::size_t candidate : candidates) answer(candidate, usable ? reply.text : seed_.instruction());
       });
}

void SeedTask::answer(std::size_t candidate, std::string instruction) {
  const ResponseAgent& agent = response_agent(candidate);
  CandidateOutcome& one = outcome_.candidates[candidate];
  const std::string slot = "answer/" + (one.pair ? pair_name(environment_.settings, *one.pair) : "base:" + agent.name);
  one.slot = seed_.id + "/" + slot;
  one.instruction = std::move(instruction);
  call(agent.model, answer_request(agent, seed_, one.instruction), "answer", slot,
       [this, candidate](ChatReply reply) { take_answer(candidate, std::move(reply)); });
}

void SeedTask::take_answer(std::size_t candidate, ChatReply reply) {
  CandidateOutcome& one = outcome_.candidates[candidate];
  one.problem = problem_of_reply(reply);
  one.response = std::move(reply.text);
  if (one.problem.empty()) one.problem = problem_of_answer(one.response, one.instruction);
  one.model = reply.model.empty() ? response_agent(candidate).model : reply.model;
  one.fingerprint = reply.system_fingerprint;
  one.finish_reason = name_of(reply.finish_reason);
  one.usage = reply.usage;
  --open_answers_;
  end_generation();
}

void SeedTask::end_generation() {
  if (open_answers_ > 0) return;
  CandidateOutcome& base = outcome_.candidates[0];
  if (!base.problem.empty() && environment_.settings.base_agent &&
      problem_of_answer(seed_.response, seed_.instruction()).empty()) {
    // The answer of the file stands in for a base answer that did not come.
    base.response = seed_.response;
    base.model = "seed";
    base.problem.clear();
  }
  const bool any = std::any_of(outcome_.candidates.begin() + 1, outcome_.candidates.end(),
                               [](const CandidateOutcome& one) { return one.problem.empty(); });
  if (!any || (!base.problem.empty() && environment_.settings.judge)) {
    finish();  // nothing to choose from, or nothing to compare with
  } else if (environment_.settings.fit == Fit::kNone) {
    for (CandidateOutcome& one : outcome_.candidates) one.dual = one.problem.empty() ? 1 : 0;
    stage_ = Stage::kJudging;
    judge_more();
  } else {
    stage_ = Stage::kToScore;
  }
}

std::vector<std::size_t> SeedTask::scored_candidates() const {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < outcome_.candidates.size(); ++i) {
    if (outcome_.candidates[i].problem.empty()) result.push_back(i);
  }
  return result;
}

std::vector<ScoreItem> SeedTask::items() const {
  std::vector<ScoreItem> items;
  for (const std::size_t candidate : scored_candidates()) {
    ScoreItem item{seed_.context, outcome_.candidates[candidate].response};
    item.context.back().content = outcome_.candidates[candidate].instruction;
    items.push_back(std::move(item));
  }
  return items;
}

void SeedTask::set_scores(const std::vector<Likelihoods>& small, const std::vector<Likelihoods>& large) {
  assert(stage_ == Stage::kToScore);
  const std::vector<std::size_t> scored = scored_candidates();
  assert(small.size() == scored.size());
  for (std::size_t k = 0; k < scored.size(); ++k) {
    CandidateOutcome& one = outcome_.candidates[scored[k]];
    one.small = small[k];
    if (environment_.settings.fit == Fit::kDual) one.large = large[k];
  }
  compute_fit();
  stage_ = Stage::kJudging;
  judge_more();
}

void SeedTask::compute_fit() {
  const Settings& settings = environment_.settings;
  std::vector<std::optional<double>> gaps;
  for (CandidateOutcome& one : outcome_.candidates) {
    if (!one.problem.empty()) {
      gaps.emplace_back();
      continue;
    }
    if (settings.fit == Fit::kDual) {
      one.gap = ifd_gap(one.small, one.large, settings.dual);
    } else if (const auto ifd = ifd_perplexity(one.small, settings.dual.unit)) {
      one.gap = *ifd < 1 || settings.dual.raw ? *ifd : 0;  // above 1 the two do not belong together
    }
    if (!one.gap && one.pair) {
      const ScoreStatus status = one.small.scored() ? one.large.status : one.small.status;
      one.problem = fmt::format("unscorable: {}", name_of(status));
    }
    gaps.push_back(one.gap);
  }
  const std::vector<double> duals = dual_scores(gaps, settings.dual);
  for (std::size_t i = 0; i < duals.size(); ++i) outcome_.candidates[i].dual = duals[i];
}

std::vector<Candidate> SeedTask::candidates_for_judging() const {
  std::vector<Candidate> result;
  std::map<std::pair<std::string_view, std::string_view>, std::size_t> texts;
  for (const CandidateOutcome& one : outcome_.candidates) {
    const auto [text, is_new] =
        texts.emplace(std::pair(std::string_view(one.instruction), std::string_view(one.response)), texts.size());
    result.push_back({one.dual, one.gap.value_or(0), one.problem.empty(), text->second});
  }
  return result;
}

void SeedTask::judge_more() {
  const Settings& settings = environment_.settings;
  if (!judging_) {
    judging_.emplace(candidates_for_judging(), settings.base_competes);
    if (!settings.judge) {
      for (const std::size_t candidate : judging_->all_open()) judging_->record(candidate, 1);
    } else if (!settings.lazy_judging) {
      const std::vector<std::size_t> all = judging_->all_open();
      for (const std::size_t candidate : all) comparisons_[candidate];
      for (const std::size_t candidate : all) compare(candidate);
    }
  }
  if (!comparisons_.empty()) return;
  if (const auto next = judging_->next())
    compare(*next);
  else
    finish();
}

void SeedTask::compare(std::size_t candidate) {
  const JudgeSettings& judge = *environment_.settings.judge;
  Comparison& comparison = comparisons_[candidate];
  comparison.open = judge.both_orders ? 2 : 1;
  if (judge.both_orders) {
    ask_judge(candidate, true, false);
    ask_judge(candidate, false, false);
  } else {
    Rng rng = stream_of(environment_.settings.run_seed, seed_.id, fmt::format("order/{}", candidate));
    ask_judge(candidate, rng.below(2) == 0, false);
  }
}

void SeedTask::ask_judge(std::size_t candidate, bool candidate_first, bool again) {
  const JudgeSettings& judge = *environment_.settings.judge;
  const CandidateOutcome& one = outcome_.candidates[candidate];
  const CandidateOutcome& base = outcome_.candidates[0];
  const JudgedAnswer own{one.instruction, one.response}, other{base.instruction, base.response};
  JudgePrompt prompt = candidate_first ? judge_prompt(own, other) : judge_prompt(other, own);
  ChatRequest request;
  request.messages = {{"system", std::move(prompt.system)}, {"user", std::move(prompt.user)}};
  request.temperature = judge.sampling.temperature;
  request.top_p = judge.sampling.top_p;
  request.max_tokens = judge.sampling.max_tokens;
  request.stop = judge.sampling.stop;
  ++outcome_.judge_calls;
  call(judge.model, std::move(request), "judge",
       fmt::format("judge-{}/{}{}", candidate_first ? "AB" : "BA", pair_name(environment_.settings, *one.pair),
                   again ? "/again" : ""),
       [this, candidate, candidate_first, again](const ChatReply& reply) {
         take_verdict(candidate, candidate_first, again, reply);
       });
}

void SeedTask::take_verdict(std::size_t candidate, bool candidate_first, bool again, const ChatReply& reply) {
  const auto verdict = reply.done() ? parse_verdict(reply.text) : std::nullopt;
  if (!verdict && !again) {
    ask_judge(candidate, candidate_first, true);
    return;
  }
  CandidateOutcome& one = outcome_.candidates[candidate];
  (candidate_first ? one.shown_first : one.shown_second) = verdict;
  Comparison& comparison = comparisons_[candidate];
  comparison.failed |= !verdict;
  if (!verdict) ++outcome_.verdicts_missing;
  if (--comparison.open == 0) end_comparison(candidate);
}

void SeedTask::end_comparison(std::size_t candidate) {
  const CandidateOutcome& one = outcome_.candidates[candidate];
  double score = 0;  // also without a verdict: a tie would reward noise
  if (!comparisons_[candidate].failed) {
    if (one.shown_first && one.shown_second)
      score = judge_score(*one.shown_first, *one.shown_second);
    else
      score = one.shown_first ? judge_score(*one.shown_first, true) : judge_score(*one.shown_second, false);
  }
  judging_->record(candidate, score);
  comparisons_.erase(candidate);
  judge_more();
}

void SeedTask::finish() {
  if (judging_) {
    const auto verdicts = judging_->verdicts();
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
      CandidateOutcome& one = outcome_.candidates[i];
      one.judge = verdicts[i];
      one.composite = one.problem.empty() ? one.dual * verdicts[i].value_or(0) : 0;
    }
    outcome_.choice = judging_->choice();
  }
  stage_ = Stage::kDone;
}

SeedOutcome SeedTask::take_outcome() {
  assert(stage_ == Stage::kDone);
  return std::move(outcome_);
}

}  // namespace kinglet::star_agents
