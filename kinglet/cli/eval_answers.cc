// kinglet eval answers: scores of answers in a file, alone or against another system's.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/cli/command.h"
#include "kinglet/cli/eval.h"
#include "kinglet/text/answer_file.h"

namespace kinglet::cli {
namespace {

struct AnswersOptions {
  std::string file, against;
};

nlohmann::ordered_json scores_json(const AnswerFileScores& scores) {
  const auto value = [](const MeanAndError& one) {
    return nlohmann::ordered_json{{"mean", one.mean}, {"error", one.error}};
  };
  return {{"questions", scores.questions},    {"rouge_1", value(scores.rouge_1)},  {"rouge_2", value(scores.rouge_2)},
          {"rouge_l", value(scores.rouge_l)}, {"exact_match", scores.exact_match}, {"distinct_2", scores.distinct_2}};
}

void print_scores(const std::string& file, const AnswerFileScores& scores) {
  const auto value = [](const MeanAndError& one) {
    return fmt::format("{:.2f} +- {:.2f}", 100 * one.mean, 100 * one.error);
  };
  std::cout << fmt::format(
      "{}: {} questions\n  ROUGE-L {}, ROUGE-1 {}, ROUGE-2 {}, exact {:.1f} %, distinct pairs {:.1f} %\n", file,
      scores.questions, value(scores.rouge_l), value(scores.rouge_1), value(scores.rouge_2), 100 * scores.exact_match,
      100 * scores.distinct_2);
}

int run_answers(const AnswersOptions& options, const Globals& globals) {
  const auto answers = read_answers(options.file);
  const AnswerFileScores scores = score_answer_file(answers);
  if (options.against.empty()) {
    if (globals.json)
      print_json(scores_json(scores));
    else
      print_scores(options.file, scores);
    return 0;
  }
  const auto others = read_answers(options.against);
  const AnswerFileScores other_scores = score_answer_file(others);
  const WinRate wins = compare_answers(answers, others);
  if (globals.json) {
    print_json({{"answers", scores_json(scores)},
                {"against", scores_json(other_scores)},
                {"wins", wins.wins},
                {"ties", wins.ties},
                {"losses", wins.losses},
                {"win_rate", wins.rate},
                {"win_rate_95", {wins.low, wins.high}}});
    return 0;
  }
  print_scores(options.file, scores);
  print_scores(options.against, other_scores);
  std::cout << fmt::format("wins {}, ties {}, losses {}: {:.1f} % by ROUGE-L (95 %: {:.1f} to {:.1f})\n", wins.wins,
                           wins.ties, wins.losses, 100 * wins.rate, 100 * wins.low, 100 * wins.high);
  return 0;
}

}  // namespace

void add_answers_command(CLI::App& eval, const Globals& globals) {
  auto options = std::make_shared<AnswersOptions>();
  CLI::App* command =
      add_command(eval, "answers", "Score answers against their references: ROUGE, exact match, who wins",
                  "kinglet eval answers my-student/answers.jsonl --against other/answers.jsonl",
                  [options, &globals] { return run_answers(*options, globals); });
  command->add_option("file", options->file, R"(JSON lines {"answer": ..., "reference": ...})")
      ->required()
      ->type_name("FILE");
  command->add_option("--against", options->against, "Another system's answers to the same questions")
      ->type_name("FILE");
}

}  // namespace kinglet::cli
