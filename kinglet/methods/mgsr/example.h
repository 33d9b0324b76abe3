// A prompt and a response as tokens, and batches of them: the one way in which sequences become rows of a model.
#pragma once

#include <cstdint>
#include <vector>

#include "kinglet/text/tokenizer.h"
#include "kinglet/train/language_data.h"

namespace kinglet::mgsr {

// Tokens [begin, end) of a response that belong together.
struct TokenSpan {
  std::size_t begin = 0, end = 0;
  bool operator==(const TokenSpan&) const = default;
};

struct Example {
  std::vector<TokenId> prompt;    // at least one token
  std::vector<TokenId> response;  // with its EOS, if it has one
  std::vector<TokenSpan> spans;   // given with the data; else empty
  std::int64_t number = -1;       // in the data, or -1
};

// One row an example, padded on the right: prompt and response without its last token. labels[i] is the token behind
// tokens[i] where that is one of the response, so that row |prompt| - 1 predicts its first token; -100 elsewhere.
LanguageBatch batch_of(const std::vector<Example>& examples, TokenId padding);

// The rows of a batch that predict a token of a response, example by example: their places in the batch with both
// dimensions as one, and where the rows of each example begin (one number more than examples).
struct ResponseRows {
  std::vector<std::int64_t> places;
  std::vector<std::int64_t> starts;
};
ResponseRows response_rows(const std::vector<Example>& examples, std::int64_t width);

// Rows i of which i and i + 1 predict neighbouring tokens of one span; spans[e] are those of example e. Tokens outside
// the response are passed over.
std::vector<std::int64_t> neighbour_rows(const ResponseRows& rows, const std::vector<std::vector<TokenSpan>>& spans);

}  // namespace kinglet::mgsr
