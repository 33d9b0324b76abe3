// What the parts of Forest-of-Thought are worth, measured with dice in place of a model: Game of 24 by trees and with
// parts switched off, word problems at equal tokens, and what the stop rules save. Seconds on one core, no network.
//
// usage: fot_simulated [--seeds N]
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "kinglet/base/rng.h"
#include "kinglet/base/table.h"
#include "kinglet/llm/scripted_model.h"
#include "kinglet/methods/fot/dataset.h"
#include "kinglet/methods/fot/game24_data.h"
#include "kinglet/methods/fot/reasoning_run.h"
#include "kinglet/methods/fot/simulated_model.h"

namespace kinglet::fot {
namespace {

constexpr std::size_t kPuzzles = 95;
constexpr int kWordProblems = 300;

struct Mean {
  std::vector<double> values;
  void add(double value) { values.push_back(value); }
  double mean() const {
    double sum = 0;
    for (const double value : values) sum += value;
    return values.empty() ? 0 : sum / static_cast<double>(values.size());
  }
  double deviation() const {
    if (values.size() < 2) return 0;
    double squares = 0;
    for (const double value : values) squares += (value - mean()) * (value - mean());
    return std::sqrt(squares / static_cast<double>(values.size() - 1));
  }
  std::string text(int digits = 1) const {
    return fmt::format("{:.{}f} ± {:.{}f}", mean(), digits, deviation(), digits);
  }
};

struct Outcome {
  Mean accuracy, coverage, claimed, calls, tokens, trees;
};

// One arm over the questions, once a seed.
Outcome measure(Task task, const Dataset& data, const ForestSettings& settings, const SimulationSettings& dice,
                int seeds) {
  Outcome outcome;
  for (int seed = 0; seed < seeds; ++seed) {
    SimulatedModel simulated(dice);
    for (const auto& [id, answer] : data.answers) simulated.teach(task, data.questions[std::stoul(id)].text, answer);
    ScriptedModel model(simulated);
    RunPlan plan;
    plan.task = task;
    plan.questions = data.questions;
    plan.arms = {{"arm", settings}};
    plan.arms[0].settings.seed = 1000 + static_cast<std::uint64_t>(seed);
    plan.detail = TraceDetail::kBrief;
    double right = 0, covered = 0, claimed = 0, calls = 0, tokens = 0, trees = 0;
    const Grader grade = [&](const Question& question, const ForestResult& result) {
      const auto gold = data.answers.find(question.id);
      const auto answer = gold == data.answers.end() ? std::nullopt : std::optional(gold->second);
      bool any = false;
      for (const TreeResult& tree : result.trees) any |= is_right(task, question, tree.label, answer);
      right += is_right(task, question, result.label, answer);
      covered += any;
      for (const TreeResult& tree : result.trees) {
        if (!tree.claimed) continue;
        claimed += 1;
        break;
      }
      calls += result.total().total_calls();
      tokens += static_cast<double>(result.total().usage.completion);
      trees += static_cast<double>(result.trees.size());
      return Json::object();
    };
    run_reasoning(plan, model, nullptr, grade);
    const auto count = static_cast<double>(data.questions.size());
    outcome.accuracy.add(100 * right / count);
    outcome.coverage.add(100 * covered / count);
    outcome.claimed.add(100 * claimed / count);
    outcome.calls.add(calls / count);
    outcome.tokens.add(tokens / count);
    outcome.trees.add(trees / count);
  }
  return outcome;
}

Dataset puzzles() {
  Dataset data;
  std::vector<Puzzle> all = split_puzzles(0.1, 24).test;
  Rng rng(24);
  for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[rng.below(i)]);
  for (std::size_t i = 0; i < std::min(kPuzzles, all.size()); ++i) {
    data.questions.push_back({fmt::format("{}", i), to_text(all[i])});
  }
  return data;
}

Dataset word_problems() {
  Dataset data;
  for (int i = 0; i < kWordProblems; ++i) {
    const std::string id = fmt::format("{}", i);
    data.questions.push_back({id, fmt::format("Problem {} of the simulated collection?", i)});
    data.answers[id] = fmt::format("{}", 17 + 3 * i);
  }
  return data;
}

ForestSettings game24_settings(int trees) {
  ForestSettings settings;
  settings.base = Base::kTotBfs;
  settings.trees = trees;
  return settings;
}

void game24_table(int seeds) {
  const Dataset data = puzzles();
  fmt::print("\n## Game of 24, {} puzzles, {} seeds: solved and verified, %\n\n", data.questions.size(), seeds);
  Table table({{"trees"},
               {"full"},
               {"left lists only"},
               {"no shuffle"},
               {"no correction: verified"},
               {"no correction: claimed"},
               {"perfect values"},
               {"calls a question"},
               {"completion tokens"}});
  for (const int trees : {1, 2, 4, 8, 16}) {
    const ForestSettings full = game24_settings(trees);
    ForestSettings left = full, fixed = full, believed = full;
    left.step_rules = StepRules::kLeftOnly;
    fixed.shuffle = false;
    believed.step_rules = StepRules::kNone;
    const Outcome whole = measure(Task::kGame24, data, full, {}, seeds);
    const Outcome none = measure(Task::kGame24, data, believed, {}, seeds);
    table.add_row(
        {fmt::format("{}", trees), whole.accuracy.text(), measure(Task::kGame24, data, left, {}, seeds).accuracy.text(),
         measure(Task::kGame24, data, fixed, {}, seeds).accuracy.text(), none.accuracy.text(), none.claimed.text(),
         measure(Task::kGame24, data, full, {.perfect_value = true}, seeds).accuracy.text(), whole.calls.text(),
         whole.tokens.text(0)});
  }
  fmt::print("{}", table.to_markdown());
}

void bigger_tree_table(int seeds) {
  const Dataset data = puzzles();
  fmt::print("\n## One bigger tree against the forest\n\n");
  Table table({{"search"}, {"solved, %"}, {"calls a question"}, {"completion tokens"}});
  for (const auto& [name, trees, kept, lines] :
       {std::tuple("4 trees, 5 kept, 12 lines", 4, 5, 12), std::tuple("1 tree, 12 kept, 30 lines", 1, 12, 30),
        std::tuple("1 tree, 12 kept, 60 lines", 1, 12, 60)}) {
    ForestSettings settings = game24_settings(trees);
    settings.kept = kept;
    const Outcome outcome = measure(Task::kGame24, data, settings, {.four_number_lines = lines}, seeds);
    table.add_row({name, outcome.accuracy.text(), outcome.calls.text(), outcome.tokens.text(0)});
  }
  fmt::print("{}", table.to_markdown());
}

void arms_table(int seeds) {
  const Dataset data = word_problems();
  const SimulationSettings dice{.spread = 0.3};
  fmt::print("\n## Word problems, {} questions, {} seeds: arms by tokens\n\n", kWordProblems, seeds);
  Table table({{"arm"}, {"accuracy, %"}, {"coverage, %"}, {"trees run"}, {"calls"}, {"completion tokens"}});
  for (const char* arm : {"cot", "sc:3", "fot-cot:3", "sc:5", "fot-cot:5", "sc:9", "fot-cot:9", "fot-mctsr:1", "sc:17",
                          "fot-mctsr:2", "fot-mctsr:4", "sc:36"}) {
    const Outcome outcome = measure(Task::kGsm8k, data, arm_settings(arm, {}), dice, seeds);
    table.add_row({arm, outcome.accuracy.text(), outcome.coverage.text(), outcome.trees.text(2), outcome.calls.text(2),
                   outcome.tokens.text(0)});
  }
  fmt::print("{}", table.to_markdown());
}

// What of the forest's gain at nine trees comes from where: the dice's expert and confidence are better than many are.
void parts_table(int seeds) {
  const Dataset data = word_problems();
  const SimulationSettings dice{.spread = 0.3};
  fmt::print("\n## Nine cot trees, part by part\n\n");
  Table table({{"search"}, {"accuracy, %"}, {"trees run"}, {"calls"}, {"completion tokens"}});
  for (const bool correction : {false, true}) {
    for (const bool expert : {false, true}) {
      ForestSettings settings;
      settings.trees = 9;
      settings.correction = correction;
      settings.decision = expert ? Decision::kCged : Decision::kMajority;
      const Outcome outcome = measure(Task::kGsm8k, data, settings, dice, seeds);
      table.add_row(
          {fmt::format("{}, {}", correction ? "correction" : "no correction", expert ? "expert at ties" : "no expert"),
           outcome.accuracy.text(), outcome.trees.text(2), outcome.calls.text(2), outcome.tokens.text(0)});
    }
  }
  fmt::print("{}", table.to_markdown());
}

void stop_table(int seeds) {
  const Dataset data = word_problems();
  fmt::print("\n## Stop rules, 8 trees, expert at ties\n\n");
  Table table({{"rule"}, {"accuracy, %"}, {"trees run"}, {"completion tokens"}, {"saved, %"}});
  double all = 0;
  for (const char* rule : {"none", "strict", "lead", "beta:0.95"}) {
    ForestSettings settings;
    settings.trees = 8;
    settings.correction = false;
    settings.stop = parse_stop_policy(rule);
    const Outcome outcome = measure(Task::kGsm8k, data, settings, {}, seeds);
    if (all == 0) all = outcome.tokens.mean();
    table.add_row({rule, outcome.accuracy.text(), outcome.trees.text(2), outcome.tokens.text(0),
                   fmt::format("{:.1f}", 100 * (1 - outcome.tokens.mean() / all))});
  }
  fmt::print("{}", table.to_markdown());
}

void correction_table(int seeds) {
  const Dataset data = word_problems();
  fmt::print("\n## Dynamic self-correction, 4 cot trees\n\n");
  Table table({{"tau"}, {"accuracy, %"}, {"calls"}, {"completion tokens"}});
  for (const double tau : {0.0, 0.3, 0.4, 0.5, 0.6, 0.7}) {
    ForestSettings settings;
    settings.correction = tau > 0;
    settings.tau = tau > 0 ? tau : 0.5;
    const Outcome outcome = measure(Task::kGsm8k, data, settings, {}, seeds);
    table.add_row({tau > 0 ? fmt::format("{:.1f}", tau) : "off", outcome.accuracy.text(), outcome.calls.text(2),
                   outcome.tokens.text(0)});
  }
  fmt::print("{}", table.to_markdown());
}

}  // namespace
}  // namespace kinglet::fot

int main(int argc, char** argv) {
  int seeds = 5;
  if (argc == 3 && std::strcmp(argv[1], "--seeds") == 0) seeds = std::max(1, std::atoi(argv[2]));
  kinglet::fot::game24_table(seeds);
  kinglet::fot::bigger_tree_table(seeds);
  kinglet::fot::arms_table(seeds);
  kinglet::fot::parts_table(seeds);
  kinglet::fot::stop_table(seeds);
  kinglet::fot::correction_table(seeds);
}
