// Files of answers, and the text under them: scores are parts of 1, phrases and sentences lie in the text, in order.
#include "tests/fuzz/fuzz_target.h"

#include "kinglet/text/answer_file.h"
#include "kinglet/text/phrase_chunker.h"
#include "kinglet/text/rouge.h"

namespace kinglet::fuzz {
namespace {

bool is_part(double value) { return value >= 0 && value <= 1 + 1e-12; }

void check_places(std::string_view text) {
  std::size_t end = 0;
  for (const Phrase& phrase : phrases(text)) {
    require(phrase.begin >= end && phrase.end > phrase.begin && phrase.end <= text.size(), "phrases are in order");
    require(phrase.words >= 1 && phrase.words <= 8, "a phrase has at most eight words");
    end = phrase.end;
  }
  end = 0;
  for (const WordPlace& sentence : sentences(text)) {
    require(sentence.begin >= end && sentence.end > sentence.begin && sentence.end <= text.size(),
            "sentences are in order");
    end = sentence.end;
  }
}

void check_answers(ByteView input) {
  check_places(as_text(input));
  std::vector<AnsweredQuestion> answers;
  if (!accepted([&] { answers = parse_answers(as_text(input), "input"); })) return;
  const AnswerFileScores scores = score_answer_file(answers);
  require(is_part(scores.rouge_l.mean) && is_part(scores.rouge_1.mean) && is_part(scores.exact_match),
          "scores are parts");
  require(compare_answers(answers, answers).ties == answers.size(), "a system ties with itself");
  for (const AnsweredQuestion& answer : answers) {
    const auto words = rouge_words(answer.answer);
    require(words.empty() || rouge_l(words, words).f == 1, "a text is all of itself");
    check_places(answer.answer);
  }
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(answers, kinglet::fuzz::check_answers)
