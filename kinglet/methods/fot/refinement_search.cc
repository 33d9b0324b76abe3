// Monte-Carlo tree self-refine: whole answers are graded, criticised and rewritten, the most promising one first.
#include <array>

#include <fmt/format.h>

#include "kinglet/base/rng.h"
#include "kinglet/methods/fot/refinement_tree.h"
#include "kinglet/methods/fot/tree.h"

namespace kinglet::fot {
namespace {

// A deliberately bad root beside the first answer, so that the search knows what a bad answer is worth.
constexpr std::array<std::string_view, 6> kRefusals = {"I don't know.",
                                                       "I can't say for sure.",
                                                       "I'm not sure what the answer is.",
                                                       "I have no idea how to do this.",
                                                       "I cannot solve this.",
                                                       "I do not know the answer."};

class Refinement {
 public:
  explicit Refinement(TreeContext& context)
      : context_(context),
        tree_({context.settings.exploration, context.settings.reward_scale,
               static_cast<std::size_t>(context.settings.max_children)}) {
    context.growing = &result_;
  }

  int add(int parent, Generation answer, std::string kind) {
    const int node = tree_.add(parent);
    const int layer = parent < 0 ? 0 : result_.nodes[static_cast<std::size_t>(parent)].layer + 1;
    result_.nodes.push_back(
        {parent, layer, std::move(kind), answer.text, {}, answer.failure.empty(), false, answer.failure});
    answers_.push_back(std::move(answer));
    return node;
  }

  Search<double> reward(int node) {
    Messages prompt = reward_prompt(context_.task, context_.question.text, text_of(node));
    ChatRequest request = make_request(context_, "reward", std::move(prompt));
    const ChatReply reply = co_await context_.board.ask(std::move(request));
    const Generation grade = read_generation(reply);
    const Score score = grade.failure.empty() ? read_score(grade.text, 0, 100) : Score{0, false};
    if (!score.readable) ++result_.unreadable;
    tree_.reward(node, score.value);
    result_.nodes[static_cast<std::size_t>(node)].score = score.value;  // for who looks on; finish() says the quality
    co_return score.value;
  }

  // An answer in two calls: the reasoning, and its conclusion.
  Search<Generation> answer_in_two(ChatRequest request) {
    Generation reasoning = co_await generate(context_, std::move(request));
    if (!reasoning.failure.empty()) co_return reasoning;
    Messages prompt = finalise_prompt(context_.task, context_.question.text, reasoning.text);
    ChatRequest finalise = make_request(context_, "finalise", std::move(prompt));
    const ChatReply reply = co_await context_.board.ask(std::move(finalise));
    const Generation conclusion = read_generation(reply);
    if (conclusion.failure.empty()) reasoning.text += "\n\nTherefore, the answer is: " + conclusion.text;
    co_return reasoning;
  }

  Search<int> rollout() {
    const int parent = tree_.select();
    co_await reward(parent);
    Messages criticism = reflect_prompt(context_.task, context_.question.text, text_of(parent));
    ChatRequest reflect = make_request(context_, "reflect", std::move(criticism));
    const ChatReply reply = co_await context_.board.ask(std::move(reflect));
    const Generation feedback = read_generation(reply);
    Messages prompt = refine_prompt(context_.task, context_.question.text, text_of(parent), feedback.text);
    ChatRequest refine = make_request(context_, "refine", std::move(prompt));
    refine.log_probs = context_.settings.correction;
    Generation answer = co_await answer_in_two(std::move(refine));
    const int child = add(parent, std::move(answer), "answer");
    if (!feedback.text.empty()) {
      const std::string criticised = feedback.text.substr(0, 400);
      result_.nodes[static_cast<std::size_t>(child)].note = "after criticism: " + criticised;
    }
    co_await reward(child);
    tree_.update();
    co_return child;
  }

  Search<TreeResult> run() {
    Messages prompt = answer_prompt(context_.task, context_.question.text, context_.example, true);
    ChatRequest request = make_request(context_, "answer", std::move(prompt));
    request.log_probs = context_.settings.correction;
    Generation first = co_await answer_in_two(std::move(request));
    const int root = add(-1, std::move(first), "answer");
    const double first_reward = co_await reward(root);
    if (first_reward <= context_.settings.accept_reward) {
      Rng rng(context_.settings.seed ^ static_cast<std::uint64_t>(context_.tree) * 0x9E3779B97F4A7C15ULL);
      Generation bad{std::string(kRefusals[rng.below(kRefusals.size())]), {}, "canned refusal"};
      const int refusal = add(-1, std::move(bad), "refusal");
      co_await reward(refusal);
      tree_.update();
      for (int i = 0; i < context_.settings.rollouts; ++i) co_await rollout();
    }
    tree_.update();
    const int best = best_valid();
    Generation chosen = answers_[static_cast<std::size_t>(best)];
    Corrected corrected = co_await correct_answer(context_, std::move(chosen));
    finish(best, corrected);
    co_return std::move(result_);
  }

 private:
  const std::string& text_of(int node) const { return answers_[static_cast<std::size_t>(node)].text; }

  // The best answer that is one; when none is, the best of all (and the tree ends inactive).
  int best_valid() const {
    int best = -1;
    for (int node = 0; node < tree_.size(); ++node) {
      if (!answers_[static_cast<std::size_t>(node)].failure.empty()) continue;
      if (best < 0 || tree_.final_score(node) > tree_.final_score(best)) best = node;
    }
    return best >= 0 ? best : 0;
  }

  void finish(int best, const Corrected& corrected) {
    for (int node = 0; node < tree_.size(); ++node) {
      TraceNode& traced = result_.nodes[static_cast<std::size_t>(node)];
      traced.score = tree_.node(node).quality;
      traced.kept = node == best;
      std::string rewards;
      for (const double reward : tree_.node(node).rewards) rewards += fmt::format(" {:g}", reward);
      traced.note = fmt::format("rewards{}; bound {:.2f}{}{}", rewards, tree_.node(node).bound,
                                traced.note.empty() ? "" : "; ", traced.note);
    }
    result_.score = tree_.final_score(best);
    if (!corrected.note.empty()) {
      const int layer = result_.nodes[static_cast<std::size_t>(best)].layer + 1;
      result_.nodes.push_back({best,
                               layer,
                               "answer",
                               corrected.accepted ? corrected.answer.text : "",
                               {},
                               corrected.accepted,
                               corrected.accepted,
                               corrected.note});
      if (corrected.accepted) ++result_.corrections;
    }
    conclude(context_, result_, corrected.answer);
  }

  TreeContext& context_;
  RefinementTree tree_;
  std::vector<Generation> answers_;
  TreeResult result_;
};

}  // namespace

Search<TreeResult> grow_refinement_tree(TreeContext& context) {
  Refinement refinement(context);
  TreeResult result = co_await refinement.run();
  co_return result;
}

}  // namespace kinglet::fot
