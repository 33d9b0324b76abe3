// How good the answers of a model are: it answers questions, and the answers are scored against the references.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kinglet/methods/mgsr/sequence_models.h"
#include "kinglet/text/answer_scores.h"

namespace kinglet::mgsr {

struct Answer {
  std::string text, reference;
  double rouge_l = 0;  // F, with stems
  bool exact = false;
};

struct AnswerScores {
  std::vector<Answer> answers;
  MeanAndError rouge_l;
  double exact_match = 0;
  double distinct_2 = 0;  // of the answers' words
  double tokens = 0;      // mean length of an answer
};

// Answers the prompts of the examples, `batch` at a time; with settings.temperature 0 the likeliest tokens.
AnswerScores score_answers(Decoder& model, const Tokenizer& tokenizer, const std::vector<Example>& examples,
                           const WritingSettings& settings, std::int64_t batch, std::uint64_t seed);

}  // namespace kinglet::mgsr
