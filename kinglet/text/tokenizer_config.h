// What stands beside a tokenizer file: tokenizer_config.json and special_tokens_map.json, which name the special
// tokens.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/text/added_tokens.h"

namespace kinglet {

struct TokenizerConfig {
  std::string tokenizer_class;
  std::optional<std::string> bos;  // by text
  std::optional<std::string> eos;
  std::optional<std::string> padding;
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
  std::vector<AddedToken> added;  // added_tokens_decoder, in order of ids
};

// From the files in `folder`; those that are missing say nothing. Raises Error (bad input) for damaged ones.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& folder);

}  // namespace kinglet
