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
#include "kinglet/text/json_text.h"

namespace kinglet::fot {
namespace {

constexpr int kHighest = 13;

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

class Writer {
 public:
  explicit Writer(const Game24DataOptions& options) : options_(options), rng_(options.seed) {}

  void add_puzzle(const Puzzle& puzzle) {
    std::vector<Puzzle> orders = distinct_orders(puzzle);
    shuffle(orders, rng_);
    if (orders.size() > static_cast<std::size_t>(options_.orders))
      orders.resize(static_cast<std::size_t>(options_.orders));
    for (const Puzzle& order : orders) add_state(numbers_of(order));
  }

  const std::string& train() const { return train_; }
  const std::string& validation() const { return validation_; }
  std::size_t records() const { return records_; }

 private:
  // The steps from a state, and the worth of what they leave; then the same from what they leave.
  void add_state(const std::vector<Rational>& state) {
    if (!seen_.insert(list_text(state)).second) return;
    std::vector<Game24Step> good, other;
    std::set<std::string> texts;  // equal numbers give equal steps
    for (Game24Step& step : all_steps(state, false)) {
      if (!texts.insert(to_text(step)).second) continue;
      const bool solvable = reaches24(step.left);
      (solvable ? good : other).push_back(std::move(step));
    }
    shuffle(good, rng_);
    shuffle(other, rng_);
    std::vector<Game24Step> steps = good;
    steps.insert(steps.end(), other.begin(), other.end());
    if (steps.size() > static_cast<std::size_t>(options_.steps)) steps.resize(static_cast<std::size_t>(options_.steps));
    shuffle(steps, rng_);
    add(propose_prompt(state, PromptLength::kCompact), lines_of(steps));
    for (const Game24Step& step : steps) {
      if (!valued_.insert(list_text(step.left)).second) continue;
      const bool solvable = reaches24(step.left);
      add(value_prompt(step.left, PromptLength::kCompact), solvable ? "sure" : "impossible");
      if (step.left.size() == 3) add_state(step.left);
    }
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

  void add(const Messages& prompt, const std::string& reply) {
    Json messages = Json::array();
    for (const ChatMessage& message : prompt)
      messages.push_back({{"role", message.role}, {"content", message.content}});
    messages.push_back({{"role", "assistant"}, {"content", reply}});
    const std::string line = Json{{"messages", messages}}.dump() + "\n";
    (xxh3(as_bytes(prompt.back().content)) % 50 == 0 ? validation_ : train_) += line;
    ++records_;
  }

  const Game24DataOptions& options_;
  Rng rng_;
  std::set<std::string> seen_, valued_;
  std::map<std::string, bool> reaches24_;  // by the sorted numbers
  std::string train_, validation_;
  std::size_t records_ = 0;
};

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
  if (options.orders < 1 || options.steps < 1) throw bad_input("--orders, --steps", "must be at least 1");
  if (!(options.corrupted_left >= 0 && options.corrupted_left <= 1))
    throw bad_input("--corrupted", "must be from 0 to 1");
  const Game24Split split = split_puzzles(options.test_share, options.seed);
  Writer writer(options);
  for (const Puzzle& puzzle : split.train) writer.add_puzzle(puzzle);
  std::string test;
  for (const Puzzle& puzzle : split.test) test += to_text(puzzle) + "\n";
  std::filesystem::create_directories(folder);
  write_file_atomically(folder / "train.jsonl", as_bytes(writer.train()));
  write_file_atomically(folder / "validation.jsonl", as_bytes(writer.validation()));
  write_file_atomically(folder / "test.txt", as_bytes(test));
  return {writer.records(), split.train.size(), split.test.size()};
}

}  // namespace kinglet::fot
