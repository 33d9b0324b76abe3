#include "kinglet/text/answer_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/text/json_text.h"
#include "kinglet/text/rouge.h"

namespace kinglet {
namespace {

AnsweredQuestion parse_line(std::string_view line, const std::string& where) {
  const Json record = parse_json(line, where);
  const auto wrong = [&](std::string_view what) {
    return bad_input(where, what, R"(write {"answer": "...", "reference": "..."} on every line)");
  };
  if (!record.is_object()) throw wrong("it is no JSON object");
  const auto answer = record.find("answer"), reference = record.find("reference");
  if (answer == record.end() || !answer->is_string()) throw wrong("there is no text 'answer'");
  if (reference == record.end()) throw wrong("there is no 'reference'");
  AnsweredQuestion question{answer->get<std::string>(), {}};
  if (reference->is_string()) {
    question.references.push_back(reference->get<std::string>());
  } else {
    if (!reference->is_array() || reference->empty()) throw wrong("'reference' is neither a text nor a list of texts");
    for (const Json& one : *reference) {
      if (!one.is_string()) throw wrong("'reference' holds what is no text");
      question.references.push_back(one.get<std::string>());
    }
  }
  return question;
}

double best_rouge(const AnsweredQuestion& question, int n) {
  const std::vector<std::string> answer = rouge_words(question.answer);
  double best = 0;
  for (const std::string& reference : question.references) {
    const std::vector<std::string> words = rouge_words(reference);
    best = std::max(best, n == 0 ? rouge_l(words, answer).f : rouge_n(words, answer, n).f);
  }
  return best;
}

}  // namespace

std::vector<AnsweredQuestion> parse_answers(std::string_view text, std::string_view where) {
  std::vector<AnsweredQuestion> answers;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    answers.push_back(parse_line(line, fmt::format("{}, line {}", where, number)));
  }
  if (answers.empty()) throw bad_input(where, "there are no answers in it");
  return answers;
}

std::vector<AnsweredQuestion> read_answers(const std::filesystem::path& path) {
  const MappedFile file(path);
  return parse_answers(as_text(file.bytes()), path.string());
}

AnswerFileScores score_answer_file(const std::vector<AnsweredQuestion>& answers) {
  AnswerFileScores scores;
  scores.questions = answers.size();
  std::vector<double> one, two;
  std::vector<std::string> texts;
  for (const AnsweredQuestion& question : answers) {
    scores.rouge_l_of_each.push_back(best_rouge(question, 0));
    one.push_back(best_rouge(question, 1));
    two.push_back(best_rouge(question, 2));
    scores.exact_match += exact_match(question.references, question.answer) ? 1.0 : 0.0;
    texts.push_back(question.answer);
  }
  scores.rouge_1 = mean_and_error(one);
  scores.rouge_2 = mean_and_error(two);
  scores.rouge_l = mean_and_error(scores.rouge_l_of_each);
  if (!answers.empty()) scores.exact_match /= static_cast<double>(answers.size());
  scores.distinct_2 = distinct_grams(texts, 2);
  return scores;
}

WinRate compare_answers(const std::vector<AnsweredQuestion>& answers, const std::vector<AnsweredQuestion>& others) {
  for (std::size_t i = 0; i < std::min(answers.size(), others.size()); ++i) {
    if (answers[i].references == others[i].references) continue;
    throw bad_input("", fmt::format("answer {} of the two files is to different questions", i + 1),
                    "let both systems answer the same questions in the same order");
  }
  return win_rate(score_answer_file(answers).rouge_l_of_each, score_answer_file(others).rouge_l_of_each);
}

}  // namespace kinglet
