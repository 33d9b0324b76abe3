// Tree of thoughts over text: steps of a solution, breadth first with a beam or depth first with a way back.
#include <algorithm>

#include <fmt/format.h>

#include "kinglet/methods/fot/activation.h"
#include "kinglet/methods/fot/tree.h"

namespace kinglet::fot {
namespace {

constexpr int kProposalTries = 3;
constexpr int kSummaryTries = 5;
constexpr std::size_t kShortestStep = 4;

struct Node {
  int trace = -1;
  int depth = 0;
  std::string steps;
  double value = 0;
};

class StepSearch {
 public:
  explicit StepSearch(TreeContext& context) : context_(context) { context.growing = &result_; }

  Search<TreeResult> run() {
    result_.nodes.push_back({-1, 0, "root", context_.question.text});
    best_ = {0, 0, {}, 0};
    std::vector<Node> open = {best_};
    const bool breadth = context_.settings.base == Base::kTotBfs;
    int expanded = 0;
    // A depth-first search goes back at most as often as a breadth-first one looks at nodes.
    const int most = 1 + (context_.settings.depth - 1) * std::min(context_.settings.kept, context_.settings.branch);
    while (!open.empty() && !done_ && expanded < most) {
      std::vector<Node> next;
      const std::size_t count = breadth ? open.size() : 1;
      for (std::size_t i = 0; i < count && !done_; ++i) {
        const Node node = open[i];
        std::vector<Node> children = co_await expand(node);
        next.insert(next.end(), children.begin(), children.end());
        ++expanded;
      }
      next = keep(std::move(next));
      if (!breadth) next.insert(next.end(), open.begin() + 1, open.end());
      open = std::move(next);
      std::erase_if(open, [&](const Node& node) { return node.depth >= context_.settings.depth; });
    }
    Generation answer = co_await summary();
    Corrected corrected = co_await correct_answer(context_, std::move(answer));
    result_.nodes.push_back({best_.trace, best_.depth + 1, "answer", corrected.answer.text, best_.value,
                             corrected.answer.failure.empty(), corrected.accepted, corrected.note});
    if (corrected.accepted) ++result_.corrections;
    conclude(context_, result_, corrected.answer);
    result_.score = best_.value;
    co_return std::move(result_);
  }

 private:
  Search<std::vector<Node>> expand(const Node node) {
    std::vector<Node> children;
    for (int i = 0; i < context_.settings.branch && !done_; ++i) {
      std::string step = co_await next_step(node);
      if (step.empty()) continue;
      Node child{static_cast<int>(result_.nodes.size()), node.depth + 1, node.steps + step + "\n", 0};
      result_.nodes.push_back({node.trace, child.depth, "step", step});
      Messages prompt = step_value_prompt(context_.task, context_.question.text, child.steps);
      ChatRequest request = make_request(context_, "value", std::move(prompt));
      const ChatReply reply = co_await context_.board.ask(std::move(request));
      const Score value = reply.done() ? read_score(read_generation(reply).text, 0, 1) : Score{0, false};
      if (!value.readable) ++result_.unreadable;
      child.value = value.value;
      result_.nodes.back().score = value.value;
      if (best_.trace == 0 || child.value > best_.value) best_ = child;
      done_ = child.value >= context_.settings.end_gate;
      children.push_back(std::move(child));
    }
    co_return children;
  }

  // A step that says something new, or nothing after a few tries.
  Search<std::string> next_step(const Node& node) {
    std::string step;
    for (int i = 0; i < kProposalTries; ++i) {
      Messages prompt = next_step_prompt(context_.task, context_.question.text, node.steps);
      ChatRequest request = make_request(context_, "propose", std::move(prompt));
      const ChatReply reply = co_await context_.board.ask(std::move(request));
      Generation generation = read_generation(reply);
      if (!reply.done()) break;
      const bool new_text =
          generation.text.size() >= kShortestStep && node.steps.find(generation.text) == std::string::npos;
      if (!generation.failure.empty() || !new_text) {
        ++result_.lines_dropped;
        continue;
      }
      step = std::move(generation.text);
      break;
    }
    co_return step;
  }

  std::vector<Node> keep(std::vector<Node> nodes) {
    std::vector<ScoredNode> scored;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      scored.push_back({i, nodes[i].value, true});
      result_.nodes[static_cast<std::size_t>(nodes[i].trace)].kept = false;
    }
    const auto beam = static_cast<std::size_t>(std::min(context_.settings.kept, context_.settings.branch));
    std::vector<Node> kept;
    for (const std::size_t index : active_nodes(scored, beam)) {
      result_.nodes[static_cast<std::size_t>(nodes[index].trace)].kept = true;
      kept.push_back(std::move(nodes[index]));
    }
    return kept;
  }

  Search<Generation> summary() {
    Generation answer{{}, {}, "no valid node"};
    if (best_.trace == 0) co_return answer;
    for (int i = 0; i < kSummaryTries; ++i) {
      Messages prompt = summary_prompt(context_.task, context_.question.text, best_.steps);
      ChatRequest request = make_request(context_, "finalise", std::move(prompt));
      request.log_probs = context_.settings.correction;
      const ChatReply reply = co_await context_.board.ask(std::move(request));
      answer = read_generation(reply);
      if (answer.failure.empty() || !reply.done()) break;
    }
    co_return answer;
  }

  TreeContext& context_;
  TreeResult result_;
  Node best_;
  bool done_ = false;
};

}  // namespace

Search<TreeResult> grow_step_tree(TreeContext& context) {
  StepSearch search(context);
  TreeResult result = co_await search.run();
  co_return result;
}

}  // namespace kinglet::fot
