// Reading tokenizer.json files, which are megabytes of vocabulary around a few small objects.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kinglet/text/tokenizer_config.h"
#include "kinglet/text/tokenizer_pipeline.h"

namespace kinglet {

// The tokenizer that the text of a tokenizer.json describes; `config` gives names to its special tokens. Models: BPE
// and Unigram. Raises Error (bad input) that names what is damaged or not supported.
//
// As in the `tokenizers` package, an added token that the model's vocabulary lacks gets the next free id, whatever the
// file says; `truncation`, `padding` and `dropout` are for training and ignored.
std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view text, std::string_view where,
                                                const TokenizerConfig& config = {});

}  // namespace kinglet
