#include "kinglet/methods/fot/game24_data.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/rng.h"
#include "kinglet/methods/fot/game24_step.h"
#include "kinglet/methods/fot/prompts.h"
#include "kinglet/text/bpe_trainer.h"
#include "kinglet/text/json_text.h"

namespace kinglet::fot {
namespace {

constexpr int kHighest = 13;
constexpr double kHopelessStates = 0.25;  // part of the states without a way to 24 that have records of steps
constexpr std::int64_t kVocabulary = 640;
constexpr const char* kEndOfReply = "<|end|>";
constexpr const char* kChatTemplate =
    "{% for message in messages %}{{ message['content'] + ('<|end|>' if message['role'] == 'assistant' else '\n') }}"
    "{% endfor %}";

template <typename T>
void shuffle(std::vector<T>& values, Rng& rng) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[rng.below(i)]);
}

std::vector<Puzzle> all_puzzles() {
  std::vector<Puzzle> puzzles;
  for (int a = 1; a <= kHighest; ++a) {
    for (int b = a; b <= kHighest; ++b) {
      for (int c = b; c <= kHighest; ++c) {
        for (int d = c; d <= kHighest; ++d) puzzles.push_back({a, b, c, d});
      }
    }
  }
  return puzzles;
}

// What a model is to read and to write, in the order in which it was made.
class Records {
 public:
  void add(const Messages& prompt, const std::string& reply) {
    Json messages = Json::array();
    for (const ChatMessage& message : prompt)
      messages.push_back({{"role", message.role}, {"content", message.content}});
    messages.push_back({{"role", "assistant"}, {"content", reply}});
    const std::string line = Json{{"messages", messages}}.dump() + "\n";
    (xxh3(as_bytes(prompt.back().content)) % 50 == 0 ? validation_ : train_) += line;
    ++count_;
  }

  const std::string& train() const { return train_; }
  const std::string& validation() const { return validation_; }
  std::size_t count() const { return count_; }

 private:
  std::string train_, validation_;
  std::size_t count_ = 0;
};

class Writer {
 public:
  explicit Writer(const Game24DataOptions& options) : options_(options), rng_(options.seed) {}

  void add_puzzle(const Puzzle& puzzle) {
    std::vector<Puzzle> orders = distinct_orders(puzzle);
    shuffle(orders, rng_);
    if (orders.size() > static_cast<std::size_t>(options_.orders))
      orders.resize(static_cast<std::size_t>(options_.orders));
    for (const Puzzle& order : orders) {
      const std::vector<Rational> state = numbers_of(order);
      for (const Game24Step& step : all_steps(state, false)) add_verdict(step.left);
      for (const Game24Step& step : add_steps(state, options_.steps)) add_after(step.left);
      add_solution(state);
    }
  }

  const Records& records() const { return records_; }

 private:
  // The steps from a state, each once: those after which 24 can be reached, and the others, both in a random order.
  struct Choice {
    std::vector<Game24Step> good, other;
  };
  Choice choice_of(const std::vector<Rational>& state) {
    Choice choice;
    std::set<std::string> texts;  // equal numbers give equal steps
    for (Game24Step& step : all_steps(state, false)) {
      if (!texts.insert(to_text(step)).second) continue;
      (reaches24(step.left) ? choice.good : choice.other).push_back(std::move(step));
    }
    shuffle(choice.good, rng_);
    shuffle(choice.other, rng_);
    return choice;
  }

  std::vector<Game24Step> add_steps(const std::vector<Rational>& state, int count) {
    Choice choice = choice_of(state);
    std::vector<Game24Step> steps = std::move(choice.good);
    steps.insert(steps.end(), choice.other.begin(), choice.other.end());
    if (steps.size() > static_cast<std::size_t>(count)) steps.resize(static_cast<std::size_t>(count));
    shuffle(steps, rng_);
    records_.add(propose_prompt(state, PromptLength::kCompact), lines_of(steps));
    return steps;
  }

  // The worth of three numbers: one word, so that it needs repetition, and those with a way to 24 are few.
  void add_verdict(const std::vector<Rational>& state) {
    const Messages prompt = value_prompt(state, PromptLength::kCompact);
    if (!valued_.insert(prompt.back().content).second) return;
    const bool hopeful = reaches24(state);
    const int copies = hopeful ? options_.verdicts : (options_.verdicts + 5) / 6;
    for (int i = 0; i < copies; ++i) records_.add(prompt, hopeful ? "sure" : "impossible");
  }

  // The steps from three numbers; hopeless ones are seldom asked for any.
  void add_after(const std::vector<Rational>& state) {
    if (!seen_.insert(list_text(state)).second) return;
    if (!reaches24(state) && rng_.uniform() > kHopelessStates) return;
    add_steps(state, (2 * options_.steps + 2) / 3);
  }

  // Three steps to 24, and the expression that they spell.
  void add_solution(const std::vector<Rational>& start) {
    if (!reaches24(start)) return;
    std::vector<Game24Step> steps;
    std::vector<Rational> state = start;
    while (state.size() > 2) {
      steps.push_back(choice_of(state).good.front());
      state = steps.back().left;
    }
    const auto last = closing_step(state[0], state[1]);
    if (!last) return;
    steps.push_back(*last);
    const std::string expression = expression_of(start, steps);
    if (expression.empty()) return;
    records_.add(solve_prompt(start), fmt::format("{}\nAnswer: {} = {}", lines_of(steps), expression, kTarget));
  }

  bool reaches24(std::vector<Rational> numbers) {
    std::sort(numbers.begin(), numbers.end());
    const auto [known, is_new] = reaches24_.try_emplace(list_text(numbers), false);
    if (is_new) known->second = solve24(numbers, Intermediates::kWhole).has_value();
    return known->second;
  }

  std::string lines_of(const std::vector<Game24Step>& steps) {
    std::string text;
    for (Game24Step step : steps) {
      if (rng_.uniform() < options_.corrupted_left) {
        step.left[rng_.below(step.left.size())] = Rational(1 + static_cast<std::int64_t>(rng_.below(kHighest)));
      }
      text += (text.empty() ? "" : "\n") + to_text(step);
    }
    return text;
  }

  const Game24DataOptions& options_;
  Rng rng_;
  std::set<std::string> seen_, valued_;
  std::map<std::string, bool> reaches24_;  // by the sorted numbers
  Records records_;
};

// A byte-level BPE whose words are the fixed parts of a line and whole numbers.
void write_tokenizer(const std::filesystem::path& folder, const std::string& records) {
  BpeTrainingOptions options;
  options.vocabulary_size = kVocabulary;
  options.special_tokens = {kEndOfReply};
  options.pattern = R"( \(left:|[A-Za-z][A-Za-z ]*:?| ?[0-9]+| ?[^\s0-9A-Za-z]|\s+)";
  BpeTrainer trainer(options);
  for (std::string_view rest = records; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    const Json record = parse_json(rest.substr(0, end), "train.jsonl");
    for (const Json& message : record["messages"]) trainer.feed(message["content"].get_ref<const std::string&>());
    rest.remove_prefix(end + 1);
  }
  std::filesystem::create_directories(folder);
  trainer.write(folder / "tokenizer.json");
  const Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                       {"eos_token", kEndOfReply},
                       {"pad_token", kEndOfReply},
                       {"clean_up_tokenization_spaces", false},
                       {"chat_template", kChatTemplate}};
  write_file_atomically(folder / "tokenizer_config.json", as_bytes(config.dump(2) + "\n"));
}

}  // namespace

Game24Split split_puzzles(double test_share, std::uint64_t seed) {
  Game24Split split;
  for (const Puzzle& puzzle : all_puzzles()) {
    const double place = Rng(seed ^ xxh3(as_bytes(to_text(puzzle)))).uniform();
    if (place >= test_share)
      split.train.push_back(puzzle);
    else if (solve24(numbers_of(puzzle), Intermediates::kWhole))
      split.test.push_back(puzzle);
  }
  return split;
}

Game24DataReport write_game24_data(const std::filesystem::path& folder, const Game24DataOptions& options) {
  if (!(options.test_share >= 0 && options.test_share < 1)) throw bad_input("--test", "must be from 0 to below 1");
  if (options.orders < 1 || options.steps < 1 || options.verdicts < 1)
    throw bad_input("--orders, --steps, --verdicts", "must be at least 1");
  if (!(options.corrupted_left >= 0 && options.corrupted_left <= 1))
    throw bad_input("--corrupted", "must be from 0 to 1");
  const Game24Split split = split_puzzles(options.test_share, options.seed);
  Writer writer(options);
  for (const Puzzle& puzzle : split.train) writer.add_puzzle(puzzle);
  std::string test;
  for (const Puzzle& puzzle : split.test) test += to_text(puzzle) + "\n";
  std::filesystem::create_directories(folder);
  const Records& records = writer.records();
  write_file_atomically(folder / "train.jsonl", as_bytes(records.train()));
  write_file_atomically(folder / "validation.jsonl", as_bytes(records.validation()));
  write_file_atomically(folder / "test.txt", as_bytes(test));
  write_tokenizer(folder / "tokenizer", records.train());
  return {records.count(), split.train.size(), split.test.size()};
}

}  // namespace kinglet::fot
