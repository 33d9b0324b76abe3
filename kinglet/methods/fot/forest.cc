#include "kinglet/methods/fot/forest.h"

#include <algorithm>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/rng.h"
#include "kinglet/methods/fot/decision.h"
#include "kinglet/methods/fot/game24.h"

namespace kinglet::fot {
namespace {

constexpr int kDecision = -1;  // stands for a tree number in the books

std::uint64_t mixed(std::uint64_t seed, std::string_view text) {
  return Rng(seed ^ xxh3(as_bytes(text))).next() >> 16;  // servers read seeds as numbers that doubles can hold
}

int priority_of(const std::string& role) {
  if (role == "expert" || role == "fallback") return 40;
  if (role == "finalise" || role == "correct") return 30;
  if (role == "value" || role == "reward") return 20;
  return 10;
}

ChatReply over_budget() {
  ChatReply reply;
  reply.status = ReplyStatus::kBudget;
  reply.error = "the question's budget is used up";
  return reply;
}

}  // namespace

CallCost ForestResult::total() const {
  CallCost sum = decision_cost;
  for (const CallCost& cost : costs) sum += cost;
  sum += late;
  return sum;
}

class Forest::State {
 public:
  State(Question question, Task task, ForestSettings settings, const ExampleBase& examples)
      : question_(std::move(question)), task_(task), settings_(std::move(settings)), examples_(examples) {
    check(settings_);
    if (question_.text.find_first_not_of(" \t\r\n") == std::string::npos) {
      throw bad_input(question_.id, "the question is empty");
    }
    if (task_ == Task::kGame24) orders_ = tree_orders();
    if (!examples_.empty() && task_ != Task::kGame24) nearest_ = examples_.nearest(question_.text);
    result_.planned = settings_.trees;
    advance();
  }

  std::vector<ForestCall> take_calls() { return std::exchange(new_calls_, {}); }
  std::vector<std::uint64_t> take_cancelled() { return std::exchange(cancelled_, {}); }
  bool ended() const { return ended_; }
  const ForestResult& result() const { return result_; }
  const Question& question() const { return question_; }
  int trees_started() const { return static_cast<int>(trees_.size()); }
  const Tally& votes() const { return result_.votes; }

  TreeView look_at(int tree) const {
    const auto index = static_cast<std::size_t>(tree);
    if (tree < admitted_) return {&result_.trees[index], true};
    if (const auto found = finished_.find(tree); found != finished_.end()) return {&found->second, true};
    const Tree& one = *trees_[index];
    return one.stopped ? TreeView{} : TreeView{one.context->growing, false};
  }

  void deliver(std::uint64_t number, ChatReply reply) {
    const auto found = open_.find(number);
    if (found == open_.end()) return;
    const OpenCall call = found->second;
    open_.erase(found);
    if (reply.done()) completion_tokens_ += reply.usage.completion;
    if (call.late) {
      result_.late.add(call.role, reply);
      return;
    }
    if (!call.shared_key.empty()) {
      settle_shared(call.shared_key, reply);
    } else {
      books(call.tree).add(call.role, reply);
      board(call.tree).deliver(call.number_in_tree, std::move(reply));
    }
    advance();
  }

 private:
  struct Tree {
    CallBoard board;
    std::optional<TreeContext> context;
    std::optional<Search<TreeResult>> search;
    CallCost cost;
    bool stopped = false;
  };
  struct OpenCall {
    int tree = 0;
    std::size_t number_in_tree = 0;
    std::string role;
    std::string shared_key;
    bool late = false;
  };
  // A prompt whose reply several trees may use.
  struct Shared {
    std::optional<ChatReply> reply;
    std::vector<std::pair<int, std::size_t>> waiting;
    std::vector<int> users;
    std::string role;
  };

  CallBoard& board(int tree) {
    return tree == kDecision ? decision_board_ : trees_[static_cast<std::size_t>(tree)]->board;
  }
  CallCost& books(int tree) {
    return tree == kDecision ? result_.decision_cost : trees_[static_cast<std::size_t>(tree)]->cost;
  }

  // The puzzle's own order first, then the others in a random order without repetition.
  std::vector<Puzzle> tree_orders() const {
    std::vector<Puzzle> orders = distinct_orders(parse_puzzle(question_.text, question_.id));
    Rng rng(mixed(settings_.seed, question_.id + "/orders"));
    for (std::size_t i = orders.size(); i > 2; --i) std::swap(orders[i - 1], orders[1 + rng.below(i - 1)]);
    return orders;
  }

  // Everything that follows from what is known: calls to make, trees to start and stop, the decision.
  void advance() {
    bool again = true;
    while (again && !ended_) {
      again = post_calls();
      again |= admit_trees();
      again |= start_trees();
      again |= decide();
    }
  }

  bool post_calls() {
    bool delivered = false;
    for (int tree = 0; tree < trees_started(); ++tree) {
      if (!trees_[static_cast<std::size_t>(tree)]->stopped) delivered |= post_calls_of(tree);
    }
    return post_calls_of(kDecision) || delivered;
  }

  bool post_calls_of(int tree) {
    bool delivered = false;
    for (CallBoard::Call& call : board(tree).take_calls()) {
      const std::string key = call.shared ? prompt_key(call.request) : std::string();
      if (!key.empty() && share(key, tree, call)) {
        delivered = true;
      } else if (!key.empty() && shared_[key].waiting.size() > 1) {
        continue;  // it is under way for another tree
      } else if (is_over_budget()) {
        result_.budget_reached = true;
        if (!key.empty()) shared_.erase(key);
        board(tree).deliver(call.number, over_budget());
        delivered = true;
      } else {
        post(tree, call, key);
      }
    }
    return delivered;
  }

  // Whether the reply was there already; else the tree waits for it.
  bool share(const std::string& key, int tree, const CallBoard::Call& call) {
    Shared& shared = shared_[key];
    shared.users.push_back(tree);
    if (shared.reply) {
      board(tree).deliver(call.number, *shared.reply);
      return true;
    }
    shared.role = call.request.role;
    shared.waiting.emplace_back(tree, call.number);
    return false;
  }

  void settle_shared(const std::string& key, const ChatReply& reply) {
    Shared& shared = shared_[key];
    const auto waiting = std::exchange(shared.waiting, {});
    shared.reply = reply;
    for (const auto& [tree, number] : waiting) {
      if (!trees_[static_cast<std::size_t>(tree)]->stopped) board(tree).deliver(number, reply);
    }
  }

  static std::string prompt_key(const ChatRequest& request) {
    std::string key;
    for (const ChatMessage& message : request.messages) key += message.role + "\n" + message.content + "\n";
    return key;
  }

  bool is_over_budget() const {
    return (settings_.most_calls > 0 && static_cast<std::int64_t>(posted_) >= settings_.most_calls) ||
           (settings_.most_tokens > 0 && completion_tokens_ >= settings_.most_tokens);
  }

  void post(int tree, CallBoard::Call& call, const std::string& key) {
    const std::uint64_t number = next_call_++;
    ++posted_;
    ChatRequest& request = call.request;
    const std::string owner = !key.empty() ? "s" : tree == kDecision ? "d" : fmt::format("{}", tree);
    const std::string place = !key.empty() ? hex64(xxh3(as_bytes(key))) : fmt::format("{}", call.number);
    request.slot = fmt::format("{}/{}/{}", question_.id, owner, place);
    request.seed = mixed(settings_.seed, request.slot);
    request.sample = static_cast<std::uint32_t>(mixed(0, request.slot));
    request.priority = priority_of(request.role);
    open_[number] = {tree, call.number, request.role, key, false};
    const bool for_expert = request.role == "expert";
    new_calls_.push_back({number, for_expert, tree, std::move(request)});
  }

  // Trees count in the order of their numbers, whatever the order in which they end.
  bool admit_trees() {
    bool admitted = false;
    for (int tree = 0; tree < trees_started(); ++tree) {
      Tree& one = *trees_[static_cast<std::size_t>(tree)];
      if (one.search && one.search->ended()) {
        finished_[tree] = one.search->take();
        one.search.reset();
        if (is_solution(finished_[tree])) stop_trees_from(tree + 1);
      }
    }
    while (!voted_ && finished_.count(admitted_) != 0) {
      result_.trees.push_back(std::move(finished_[admitted_]));
      const TreeResult& tree = result_.trees.back();
      result_.votes.add(admitted_, tree.active ? tree.label : std::nullopt);
      ++admitted_;
      admitted = true;
      voted_ = is_solution(tree) || is_decided(result_.votes, settings_.trees, settings_.stop) ||
               (is_over_budget() && admitted_ == trees_started());
      if (voted_) stop_trees_from(admitted_);
    }
    return admitted;
  }

  // An exact check of the answer ends the search: nothing better can come.
  bool is_solution(const TreeResult& tree) const { return task_ == Task::kGame24 && tree.active; }

  void stop_trees_from(int first) {
    most_trees_ = std::min(most_trees_.value_or(first), first);
    for (int tree = first; tree < trees_started(); ++tree) {
      Tree& one = *trees_[static_cast<std::size_t>(tree)];
      if (one.stopped) continue;
      one.stopped = true;
      one.search.reset();
      finished_.erase(tree);
      result_.late += one.cost;
    }
    for (auto& [number, call] : open_) {
      const bool of_stopped = call.tree >= first && call.shared_key.empty();
      if (!of_stopped || call.late) continue;
      call.late = true;
      cancelled_.push_back(number);
    }
  }

  bool start_trees() {
    if (voted_ || (is_over_budget() && trees_started() > 0)) return false;
    const int needed = task_ == Task::kGame24 ? 1 : trees_needed(result_.votes, settings_.trees, settings_.stop);
    const int more = settings_.width > 0 ? settings_.width : needed;
    const int wanted = std::min({admitted_ + more, settings_.trees, most_trees_.value_or(settings_.trees)});
    if (trees_started() >= wanted) return false;
    while (trees_started() < wanted) start_tree(trees_started());
    return true;
  }

  void start_tree(int tree) {
    trees_.push_back(std::make_unique<Tree>());
    Tree& one = *trees_.back();
    one.context.emplace(TreeContext{one.board, task_, question_, settings_, tree, {}, nullptr});
    const auto index = static_cast<std::size_t>(tree);
    if (task_ == Task::kGame24) {
      const Puzzle order = orders_[settings_.shuffle ? index % orders_.size() : 0];
      one.context->numbers = numbers_of(order);
    } else if (tree > 0 && settings_.examples && !nearest_.empty()) {
      const std::size_t place = settings_.same_example ? 0 : (index - 1) % nearest_.size();
      one.context->example = &examples_.at(nearest_[place]);
    }
    one.search.emplace(grow_tree(*one.context));
    one.search->start();
  }

  bool decide() {
    if (!voted_) return false;
    if (!decision_) {
      decision_context_.emplace(TreeContext{decision_board_, task_, question_, settings_, 0, {}, nullptr});
      decision_.emplace(make_decision(*decision_context_, result_.trees, result_.votes));
      decision_->start();
      return true;
    }
    if (!decision_->ended()) return false;
    finish(decision_->take());
    return true;
  }

  void finish(DecisionResult decision) {
    for (int tree = 0; tree < admitted_; ++tree) result_.costs.push_back(trees_[static_cast<std::size_t>(tree)]->cost);
    settle_shared_costs();
    result_.decided_by = std::move(decision.by);
    result_.label = std::move(decision.label);
    result_.text = std::move(decision.text);
    result_.expert_text = std::move(decision.expert_text);
    result_.status = result_.budget_reached || is_over_budget() ? "budget" : result_.label ? "answered" : "no_answer";
    ended_ = true;
  }

  // The first tree that used a shared reply pays, whichever asked first: so costs do not depend on the order of
  // replies.
  void settle_shared_costs() {
    for (const auto& [key, shared] : shared_) {
      if (shared.users.empty()) continue;
      const int payer = *std::min_element(shared.users.begin(), shared.users.end());
      if (shared.reply) {
        if (payer < admitted_)
          result_.costs[static_cast<std::size_t>(payer)].add(shared.role, *shared.reply);
        else
          result_.late.add(shared.role, *shared.reply);
      }
      bool paid = false;
      for (const int user : shared.users) {
        if (user == payer && !paid)
          paid = true;
        else if (user < admitted_)
          ++result_.costs[static_cast<std::size_t>(user)].shared;
      }
    }
  }

  Question question_;
  Task task_;
  ForestSettings settings_;
  const ExampleBase& examples_;
  std::vector<Puzzle> orders_;
  std::vector<std::size_t> nearest_;

  std::vector<std::unique_ptr<Tree>> trees_;
  std::map<int, TreeResult> finished_;  // ended, not yet counted
  int admitted_ = 0;
  std::optional<int> most_trees_;  // no tree from this one on is of use
  bool voted_ = false;

  CallBoard decision_board_;
  std::optional<TreeContext> decision_context_;
  std::optional<Search<DecisionResult>> decision_;

  std::map<std::string, Shared> shared_;
  std::map<std::uint64_t, OpenCall> open_;
  std::vector<ForestCall> new_calls_;
  std::vector<std::uint64_t> cancelled_;
  std::uint64_t next_call_ = 1, posted_ = 0;
  std::int64_t completion_tokens_ = 0;
  ForestResult result_;
  bool ended_ = false;
};

Forest::Forest(Question question, Task task, ForestSettings settings, const ExampleBase& examples)
    : state_(std::make_unique<State>(std::move(question), task, std::move(settings), examples)) {}
Forest::~Forest() = default;

std::vector<ForestCall> Forest::take_calls() { return state_->take_calls(); }
std::vector<std::uint64_t> Forest::take_cancelled() { return state_->take_cancelled(); }
void Forest::deliver(std::uint64_t number, ChatReply reply) { state_->deliver(number, std::move(reply)); }
bool Forest::ended() const { return state_->ended(); }
const ForestResult& Forest::result() const { return state_->result(); }
const Question& Forest::question() const { return state_->question(); }
int Forest::trees_started() const { return state_->trees_started(); }
Forest::TreeView Forest::look_at(int tree) const { return state_->look_at(tree); }
const Tally& Forest::votes() const { return state_->votes(); }

}  // namespace kinglet::fot
