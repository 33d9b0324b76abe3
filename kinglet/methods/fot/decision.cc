#include "kinglet/methods/fot/decision.h"

#include <algorithm>

#include "kinglet/base/rng.h"
#include "kinglet/methods/fot/game24.h"

namespace kinglet::fot {
namespace {

constexpr std::size_t kMostCandidates = 20;  // letters of the expert's prompt

const TreeResult* first_with(const std::vector<TreeResult>& trees, const std::string& label) {
  for (const TreeResult& tree : trees) {
    if (tree.active && tree.label == label) return &tree;
  }
  return nullptr;
}

DecisionResult decided(std::string by, const TreeResult& tree) { return {std::move(by), tree.label, tree.text, {}}; }

std::vector<const TreeResult*> active(const std::vector<TreeResult>& trees) {
  std::vector<const TreeResult*> result;
  for (const TreeResult& tree : trees) {
    if (tree.active && tree.label) result.push_back(&tree);
  }
  return result;
}

// One plain answer that is no part of any tree.
Search<DecisionResult> fall_back(TreeContext& context) {
  DecisionResult result{"", {}, {}, {}};
  const bool compact = context.task == Task::kGame24 && context.settings.compact_prompts;
  Messages prompt = compact ? solve_prompt(numbers_of(parse_puzzle(context.question.text, context.question.id)))
                            : answer_prompt(context.task, context.question.text, nullptr, true);
  ChatRequest request = make_request(context, "fallback", std::move(prompt));
  const ChatReply reply = co_await context.board.ask(std::move(request));
  const Generation answer = read_generation(reply);
  result.by = "fallback";
  result.text = answer.text;
  if (answer.failure.empty() && solves(context.task, context.question, answer.text).value_or(true)) {
    result.label = label_of(context.task, answer.text);
  }
  co_return result;
}

// The expert sees one answer a label, in the order of the trees.
Search<DecisionResult> ask_expert(TreeContext& context, const std::vector<TreeResult>& trees, const Tally& votes) {
  std::vector<Candidate> candidates;
  for (const Tally::Count& count : votes.counts()) {
    const TreeResult* tree = first_with(trees, count.label);
    if (tree != nullptr && candidates.size() < kMostCandidates) candidates.push_back({count.label, tree->text});
  }
  const TreeResult* plurality = first_with(trees, votes.leader().value_or(""));
  Messages prompt = expert_prompt(context.task, context.question.text, candidates);
  ChatRequest request = make_request(context, "expert", std::move(prompt));
  request.max_tokens = context.settings.expert_max_tokens;
  const ChatReply reply = co_await context.board.ask(std::move(request));
  const Generation verdict = read_generation(reply);
  DecisionResult result = plurality != nullptr ? decided("first tree", *plurality) : DecisionResult{};
  result.expert_text = verdict.text;
  if (!verdict.failure.empty()) {
    if (context.settings.fallback) {
      DecisionResult plain = co_await fall_back(context);
      plain.expert_text = result.expert_text;
      if (plain.label) co_return plain;
    }
    co_return result;
  }
  if (const auto choice = read_choice(verdict.text, candidates.size())) {
    const TreeResult* chosen = first_with(trees, candidates[*choice].label);
    if (chosen != nullptr) {
      result.by = "expert";
      result.label = chosen->label;
      result.text = chosen->text;
    }
  } else if (context.settings.expert_may_answer) {
    if (auto label = label_of(context.task, verdict.text)) {
      result.by = "expert";
      result.label = std::move(label);
      result.text = verdict.text;
    }
  }
  co_return result;
}

}  // namespace

Search<DecisionResult> make_decision(TreeContext& context, const std::vector<TreeResult>& trees, const Tally& votes) {
  const auto voters = active(trees);
  if (voters.empty()) {
    if (context.settings.fallback) {
      DecisionResult result = co_await fall_back(context);
      co_return result;
    }
    co_return DecisionResult{"none", {}, {}, {}};
  }
  if (context.task == Task::kGame24) co_return decided("solved", *voters.front());
  if (voters.size() == 1) co_return decided("only tree", *voters.front());
  switch (context.settings.decision) {
    case Decision::kScore: {
      const auto best = std::max_element(voters.begin(), voters.end(),
                                         [](const auto* a, const auto* b) { return a->score < b->score; });
      co_return decided("score", **best);
    }
    case Decision::kRandom: {
      Rng rng(context.settings.seed ^ 0x5EEDULL);
      co_return decided("random", *voters[rng.below(voters.size())]);
    }
    case Decision::kExpert: {
      DecisionResult result = co_await ask_expert(context, trees, votes);
      co_return result;
    }
    case Decision::kCged:
    case Decision::kMajority:
      break;
  }
  const TreeResult& leader = *first_with(trees, *votes.leader());
  if (votes.leader_is_unique()) co_return decided("vote", leader);
  if (context.settings.decision == Decision::kMajority) co_return decided("first tree", leader);
  DecisionResult result = co_await ask_expert(context, trees, votes);
  co_return result;
}

}  // namespace kinglet::fot
