// A decoder with all that text needs: its tokenizer, the tokens that end a text, its chat template.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "kinglet/models/decoder/decoder.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/text/chat_template.h"
#include "kinglet/text/prompt_tokens.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet {

struct LanguageModel {
  std::shared_ptr<Decoder> decoder;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::vector<TokenId> eos;  // any of them ends a text
};

// `path`: a GGUF file, a Hugging Face folder with its tokenizer's files, or a folder that holds such a one as "model"
// (a training run). Tokens that end a text are those of config.json, generation_config.json and the tokenizer together;
// of a GGUF file its eos and eot, and the control tokens that end a turn in the known chat formats. Raises Error (bad
// input), before any weights are read where that is possible: no model, no tokenizer, a family or a file that is not
// understood, a tokenizer with more tokens than the model has embeddings (control tokens behind them are let pass, as
// in Gemma 3; they are refused when they occur).
LanguageModel load_language_model(const std::filesystem::path& path, WeightType type = WeightType::kFloat32);

// The chat template beside a model or inside its GGUF file. Raises Error (bad input) when there is none or it is
// damaged.
ChatTemplate load_chat_template(const std::filesystem::path& path, const Tokenizer& tokenizer);

}  // namespace kinglet
