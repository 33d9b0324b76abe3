// The tree of thoughts over the Game of 24: the model proposes steps and judges what is left; rules check every line,
// the last step needs no model, and the arithmetic of a solution is verified.
#include <map>
#include <set>

#include <fmt/format.h>

#include "kinglet/methods/fot/activation.h"
#include "kinglet/methods/fot/game24.h"
#include "kinglet/methods/fot/tree.h"

namespace kinglet::fot {
namespace {

constexpr std::size_t kMostLines = 64;  // of one reply

struct Node {
  int trace = -1;
  std::vector<Rational> state;
  std::vector<Game24Step> steps;
};

std::vector<std::string> lines_of(std::string_view text) {
  // Some models go on and invent the next puzzle.
  text = text.substr(0, text.find("Input:"));
  std::vector<std::string> lines;
  while (!text.empty() && lines.size() < kMostLines) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
    if (line.find('=') != std::string_view::npos) lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

class Game24Search {
 public:
  explicit Game24Search(TreeContext& context) : context_(context) { context.growing = &result_; }

  Search<TreeResult> run() {
    result_.nodes.push_back({-1, 0, "root", list_text(context_.numbers)});
    result_.input = list_text(context_.numbers);
    const Node root{0, context_.numbers, {}};
    std::vector<Node> layer = co_await propose(root);
    if (failure_.empty()) layer = co_await keep_best(std::move(layer));
    result_.stop_reason = failure_.empty() ? "no valid node" : failure_;
    for (const Node& node : layer) {
      const std::vector<Node> pairs = co_await propose(node);
      for (const Node& pair : pairs) {
        if (close(pair)) co_return std::move(result_);
      }
    }
    if (!layer.empty() && failure_.empty()) result_.stop_reason = "not solved";
    co_return std::move(result_);
  }

 private:
  // The steps that the model proposes from a state and that pass the rules, each once.
  Search<std::vector<Node>> propose(const Node& node) {
    std::vector<Node> children;
    std::vector<ChatRequest> requests;
    for (int i = 0; i < context_.settings.proposals; ++i) {
      Messages prompt = propose_prompt(node.state, length());
      requests.push_back(make_request(context_, "propose", std::move(prompt)));
    }
    const std::vector<ChatReply> replies = co_await context_.board.ask_all(std::move(requests), false);
    std::set<std::string> seen;
    std::size_t failed = 0;
    for (const ChatReply& reply : replies) {
      const Generation generation = read_generation(reply);
      if (!reply.done() && ++failed == replies.size()) failure_ = generation.failure;
      for (const std::string& line : lines_of(generation.text)) add(node, line, seen, children);
    }
    co_return children;
  }

  void add(const Node& node, const std::string& line, std::set<std::string>& seen, std::vector<Node>& children) {
    CheckedStep checked = check_step(line, node.state, context_.settings.step_rules, context_.settings.allow_fractions);
    const int layer = static_cast<int>(node.steps.size()) + 1;
    if (!checked.step) {
      ++result_.lines_dropped;
      result_.nodes.push_back(
          {node.trace, layer, "step", line, {}, false, false, fmt::format("dropped: {}", name_of(checked.fault))});
      return;
    }
    std::string text = to_text(*checked.step);
    if (!seen.insert(text).second) return;  // worth 0, for it was there before
    Node child{static_cast<int>(result_.nodes.size()), checked.step->left, node.steps};
    child.steps.push_back(std::move(*checked.step));
    if (checked.rewritten) ++result_.corrections;
    result_.nodes.push_back({node.trace,
                             layer,
                             "step",
                             std::move(text),
                             {},
                             true,
                             checked.rewritten,
                             checked.rewritten ? fmt::format("the model wrote \"{}\"", line) : std::string()});
    children.push_back(std::move(child));
  }

  // Node-level sparse activation. All values of the layer are asked for at once; equal states share one call.
  Search<std::vector<Node>> keep_best(std::vector<Node> layer) {
    std::vector<ChatRequest> requests;
    for (const Node& node : layer) {
      Messages prompt = value_prompt(node.state, length());
      requests.push_back(make_request(context_, "value", std::move(prompt)));
    }
    if (requests.empty()) co_return layer;
    const std::vector<ChatReply> replies = co_await context_.board.ask_all(std::move(requests), true);
    std::vector<ScoredNode> scored;
    for (std::size_t i = 0; i < layer.size(); ++i) {
      const Score value = replies[i].done() ? read_state_value(read_generation(replies[i]).text) : Score{0, false};
      if (!value.readable) ++result_.unreadable;
      scored.push_back({i, value.value, true});
      traced(layer[i]).score = value.value;
      traced(layer[i]).kept = false;
    }
    const auto least = context_.settings.drop_impossible ? std::optional(0.5) : std::nullopt;
    std::vector<Node> kept;
    for (const std::size_t index : active_nodes(scored, static_cast<std::size_t>(context_.settings.kept), least)) {
      traced(layer[index]).kept = true;
      kept.push_back(layer[index]);
    }
    co_return kept;
  }

  // Two numbers: the last step is arithmetic.
  bool close(const Node& pair) {
    if (pair.state.size() != 2) return false;
    const auto last = closing_step(pair.state[0], pair.state[1]);
    if (!last) {
      traced(pair).kept = false;
      return false;
    }
    std::vector<Game24Step> steps = pair.steps;
    steps.push_back(*last);
    const std::string expression =
        expression_of(numbers_of(parse_puzzle(context_.question.text, context_.question.id)), steps);
    result_.claimed = true;
    result_.verified = solves(context_.task, context_.question, expression).value_or(false);
    result_.active = context_.settings.step_rules != StepRules::kExact || result_.verified;
    result_.nodes.push_back(
        {pair.trace, 3, "close", to_text(*last), 20, true, false, result_.verified ? "verified" : "not true"});
    result_.text = fmt::format("Answer: {} = 24", expression);
    result_.score = 20;
    result_.stop_reason = "solved";
    if (result_.active) result_.label = expression.empty() ? to_text(*last) : expression;
    return true;
  }

  PromptLength length() const {
    return context_.settings.compact_prompts ? PromptLength::kCompact : PromptLength::kWithExamples;
  }
  TraceNode& traced(const Node& node) { return result_.nodes[static_cast<std::size_t>(node.trace)]; }

  TreeContext& context_;
  TreeResult result_;
  std::string failure_;
};

}  // namespace

Search<TreeResult> grow_game24_tree(TreeContext& context) {
  Game24Search search(context);
  TreeResult result = co_await search.run();
  co_return result;
}

}  // namespace kinglet::fot
