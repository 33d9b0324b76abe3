// One seed on its way: its candidates are generated, scored, judged, and one is chosen.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kinglet/llm/chat_model.h"
#include "kinglet/methods/star_agents/scorer.h"
#include "kinglet/methods/star_agents/settings.h"

namespace kinglet::star_agents {

using ChatModels = std::map<std::string, ChatModel*, std::less<>>;

// What the tasks of a run share.
struct TaskEnvironment {
  const Settings& settings;
  const ChatModels& models;
  // Told when a call shows that the run cannot go on: a model that takes no calls, a budget that is used up. The task
  // then never ends.
  std::function<void(const std::string&)> stop;
  bool stopping = false;  // no further calls are made
};

// Must stay where it is while calls are open: callbacks point to it. Not for use from several threads.
class SeedTask {
 public:
  struct Draw {
    std::size_t pair = 0;
    double probability = 0;
  };
  enum class Stage { kGenerating, kToScore, kJudging, kDone };

  // `index` and `wave` are kept for the outcome and for the order of calls.
  SeedTask(const TaskEnvironment& environment, const Seed& seed, std::size_t index, std::size_t wave,
           const std::vector<Draw>& draws);

  void start();  // submits the first calls
  Stage stage() const { return stage_; }

  // At kToScore: what the scorers are to score, and their answers in that order (`large` is empty unless Fit::kDual;
  // both are empty for Fit::kNone).
  std::vector<ScoreItem> items() const;
  void set_scores(const std::vector<Likelihoods>& small, const std::vector<Likelihoods>& large);

  SeedOutcome take_outcome();  // at kDone

  void cancel();  // asks the models to forget its calls; they must be polled before the task may go

 private:
  struct Comparison {
    std::size_t open = 0;
    bool failed = false;
  };

  void call(const std::string& model, ChatRequest request, const std::string& role, const std::string& slot,
            std::function<void(ChatReply)> on_reply);
  void rewrite(std::size_t instruction_agent, std::vector<std::size_t> candidates);
  void answer(std::size_t candidate, std::string instruction);
  void take_answer(std::size_t candidate, ChatReply reply);
  void end_generation();
  void compute_fit();
  void judge_more();
  void compare(std::size_t candidate);
  void ask_judge(std::size_t candidate, bool candidate_first, bool again);
  void take_verdict(std::size_t candidate, bool candidate_first, bool again, const ChatReply& reply);
  void end_comparison(std::size_t candidate);
  void finish();
  const ResponseAgent& response_agent(std::size_t candidate) const;
  std::vector<std::size_t> scored_candidates() const;
  std::vector<Candidate> candidates_for_judging() const;

  const TaskEnvironment& environment_;
  const Seed& seed_;
  std::size_t wave_;
  SeedOutcome outcome_;
  Stage stage_ = Stage::kGenerating;
  std::map<std::uint64_t, std::pair<ChatModel*, CallId>> open_calls_;
  std::uint64_t next_call_ = 0;
  std::size_t open_answers_ = 0;
  std::optional<LazyJudging> judging_;
  std::map<std::size_t, Comparison> comparisons_;
};

}  // namespace kinglet::star_agents
