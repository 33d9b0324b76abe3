// SentencePiece's tokenizer.model files, through libsentencepiece.
#pragma once

#include <memory>
#include <string_view>

#include "kinglet/text/tokenizer.h"
#include "kinglet/text/tokenizer_config.h"

namespace kinglet {

// `model`: the bytes of the file. Raises Error (bad input) that names `where`.
//
// Text between special tokens is encoded by the library, each stretch by itself with its own dummy prefix. Special
// tokens are the model's control and unknown symbols and the configuration's added tokens. add_special puts BOS before
// a text when the model has one, and EOS after it only when the configuration asks; `add_bos_token` and `add_eos_token`
// of the configuration decide when they are there.
std::unique_ptr<Tokenizer> parse_sentencepiece(std::string_view model, std::string_view where,
                                               const TokenizerConfig& config = {});

}  // namespace kinglet
