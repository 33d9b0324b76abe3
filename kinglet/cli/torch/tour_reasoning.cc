#include "kinglet/cli/torch/tour_reasoning.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/cli/torch/tour_child.h"
#include "kinglet/methods/fot/game24_data.h"
#include "kinglet/methods/fot/reasoning_run.h"
#include "kinglet/methods/fot/run_summary.h"

namespace kinglet::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShown = 6;  // puzzles in the report's table

struct Solving {
  std::vector<fot::ArmSummary> arms;  // one sample, one tree, a forest
  std::vector<Json> records;
};

// The puzzles that the model's training has left out, evenly spread over their list.
std::string held_out_puzzles(std::size_t count) {
  const auto test = fot::split_puzzles(fot::Game24DataOptions{}.test_share, fot::Game24DataOptions{}.seed).test;
  std::string text;
  for (std::size_t i = 0; i < std::min(count, test.size()); ++i) {
    text += fot::to_text(test[i * test.size() / std::min(count, test.size())]) + "\n";
  }
  return text;
}

Solving solve_puzzles(const TourOptions& options) {
  const fs::path folder = fs::path(options.output) / "reasoning";
  fs::create_directories(folder);
  write_file_atomically(folder / "puzzles.txt", as_bytes(held_out_puzzles(options.quick ? 6 : 20)));
  const fs::path run = folder / "run.jsonl";
  TourChild child({"--json", "reason", "--task", "game24", "--data", (folder / "puzzles.txt").string(), "--arms",
                   "cot,fot-tot-bfs:1,fot-tot-bfs:16", "--seed", fmt::format("{}", options.seed), "--out", run.string(),
                   "--report", (folder / "forest.html").string()},
                  folder / "summary.json");
  if (child.wait() != 0) throw failed("kinglet reason", "ended with an error", "its message is above");
  Solving solving;
  solving.records = fot::read_run_file(run).records;
  solving.arms = fot::summarize(solving.records);
  return solving;
}

std::string share(const fot::ArmSummary& arm) { return fmt::format("{} of {}", arm.right, arm.questions); }

// The last arm's answers, with how many trees they took.
TourTable answers_of(const Solving& solving) {
  TourTable table{{"puzzle", "the forest's answer", "trees", "one sample"}, {}};
  for (const Json& record : solving.records) {
    if (record["arm"] != solving.arms.back().arm || table.rows.size() == kShown) continue;
    std::string sample;
    for (const Json& other : solving.records) {
      if (other["arm"] == solving.arms.front().arm && other["id"] == record["id"])
        sample = other.value("correct", false) ? "right" : "wrong";
    }
    table.rows.push_back({record["question"].get<std::string>(),
                          record["label"].is_string() ? record["label"].get<std::string>() : "none",
                          fmt::format("{}", record["trees"].size()), sample});
  }
  return table;
}

}  // namespace

void run_reasoning_stop(const TourOptions& options, TourReport& report) {
  const Solving solving = solve_puzzles(options);
  const fot::ArmSummary &sample = solving.arms.at(0), &tree = solving.arms.at(1), &forest = solving.arms.at(2);
  report.rows.push_back(
      {"Forest-of-Thought",
       fmt::format("the built-in model of 1 M parameters plays the Game of 24 on {} puzzles that it was not trained on",
                   forest.questions),
       fmt::format("a forest of up to 16 trees solves {}, with {:.0f} calls and {:.0f} tokens a puzzle", share(forest),
                   forest.calls, forest.completion_tokens),
       fmt::format("one sample solves {} ({:.0f} tokens), one tree {} ({:.0f})", share(sample),
                   sample.completion_tokens, share(tree), tree.completion_tokens),
       "kinglet reason '4 9 10 13' --task game24"});
  TourSection section{"Forest-of-Thought: the same small model, asked better", {}, {}, {}, {}};
  section.paragraphs = {fmt::format(
      "Each answer was checked with exact fractions. The trees, step by step, with what was dropped and corrected: {}.",
      (fs::path(options.output) / "reasoning" / "forest.html").string())};
  section.tables.push_back(answers_of(solving));
  report.sections.push_back(section);
  for (const fot::ArmSummary& arm : solving.arms) {
    report.numbers["reasoning"][arm.arm] = {{"solved", arm.right},
                                            {"puzzles", arm.questions},
                                            {"calls", arm.calls},
                                            {"completion_tokens", arm.completion_tokens}};
  }
}

}  // namespace kinglet::cli
