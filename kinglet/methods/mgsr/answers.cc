#include "kinglet/methods/mgsr/answers.h"

#include <algorithm>

#include "kinglet/base/progress.h"
#include "kinglet/base/rng.h"
#include "kinglet/text/rouge.h"

namespace kinglet::mgsr {

AnswerScores score_answers(Decoder& model, const Tokenizer& tokenizer, const std::vector<Example>& examples,
                           const WritingSettings& settings, std::int64_t batch, std::uint64_t seed) {
  AnswerScores scores;
  std::vector<std::string> texts;
  std::vector<double> values;
  Rng streams(seed);
  Progress progress("answers", examples.size());
  for (std::size_t begin = 0; begin < examples.size(); begin += static_cast<std::size_t>(batch)) {
    const std::size_t end = std::min(examples.size(), begin + static_cast<std::size_t>(batch));
    const std::vector<Example> asked(examples.begin() + static_cast<std::ptrdiff_t>(begin),
                                     examples.begin() + static_cast<std::ptrdiff_t>(end));
    const std::vector<Example> written = write_responses(model, asked, settings, streams.next());
    for (std::size_t i = 0; i < asked.size(); ++i) {
      Answer answer{tokenizer.decode(written[i].response), tokenizer.decode(asked[i].response)};
      answer.rouge_l = rouge_l(std::vector<std::string>{answer.reference}, answer.text).f;
      answer.exact = exact_match({answer.reference}, answer.text);
      scores.exact_match += answer.exact ? 1.0 : 0.0;
      scores.tokens += static_cast<double>(written[i].response.size());
      values.push_back(answer.rouge_l);
      texts.push_back(answer.text);
      scores.answers.push_back(std::move(answer));
    }
    progress.advance(asked.size());
  }
  if (values.empty()) return scores;
  const auto count = static_cast<double>(values.size());
  scores.rouge_l = mean_and_error(values);
  scores.exact_match /= count;
  scores.tokens /= count;
  scores.distinct_2 = distinct_grams(texts, 2);
  return scores;
}

}  // namespace kinglet::mgsr
