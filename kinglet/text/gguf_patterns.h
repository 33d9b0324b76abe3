// The regular expressions behind the names of tokenizer.ggml.pre.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace kinglet {

struct GgufPreTokenizer {
  std::vector<const char*> patterns;  // one after the other, each isolates its matches
  bool ignore_merges = false;
  bool add_bos = false;  // when tokenizer.ggml.add_bos_token is missing
};

// Nothing for a name that is not known.
std::optional<GgufPreTokenizer> find_gguf_pre_tokenizer(std::string_view name);

}  // namespace kinglet
