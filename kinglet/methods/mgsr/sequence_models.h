// A student and its teacher as writers and judges of responses.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kinglet/methods/mgsr/divergence.h"
#include "kinglet/methods/mgsr/revision.h"
#include "kinglet/models/decoder/decoder.h"

namespace kinglet::mgsr {

struct WritingSettings {
  double temperature = 1.0;
  double top_p = 1.0;
  std::int64_t top_k = 0;
  std::int64_t longest = 512;  // prompt and response, in tokens
  std::vector<TokenId> ends;   // tokens that end a text
  TokenId padding = 0;
  std::int64_t vocabulary = 0;  // tokens of the tokenizer; models may have more rows
};

struct JudgingSettings {
  bool most_likely = false;  // the teacher's likeliest token instead of one drawn at temperature 1
  DivergenceSettings divergence;
};

// `examples` with responses written by `model`: with its end token, or cut at settings.longest. Example i draws from
// the stream alone and its place. Raises Error (interrupted) after a signal: half a response is none.
std::vector<Example> write_responses(Decoder& model, const std::vector<Example>& examples,
                                     const WritingSettings& settings, std::uint64_t stream);

class SequenceModels : public RevisionModels {
 public:
  // The models must outlive this. No gradients are made.
  SequenceModels(Decoder& student, Decoder& teacher, const WritingSettings& writing, const JudgingSettings& judging)
      : student_(student), teacher_(teacher), writing_(writing), judging_(judging) {}

  std::vector<Judgement> judge(const std::vector<Example>& examples, std::uint64_t stream) override;
  std::vector<std::vector<TokenId>> go_on(const std::vector<Example>& examples, const std::vector<std::int64_t>& room,
                                          std::uint64_t stream) override;

 private:
  Decoder& student_;
  Decoder& teacher_;
  const WritingSettings& writing_;
  const JudgingSettings& judging_;
};

// The hidden states of the rows that predict responses, [rows, dim].
at::Tensor response_hidden(Decoder& model, const LanguageBatch& batch, const ResponseRows& rows);

}  // namespace kinglet::mgsr
