#include "kinglet/text/gguf_patterns.h"

#include <algorithm>
#include <array>

namespace kinglet {
namespace {

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
                                R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
                                R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kDeepseekIdeographs = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
constexpr const char* kDeepseek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

template <std::size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::optional<GgufPreTokenizer> find_gguf_pre_tokenizer(std::string_view name) {
  static constexpr std::array<std::string_view, 6> kLikeGpt2 = {"gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion"};
  static constexpr std::array<std::string_view, 6> kLikeLlama3 = {"llama3",    "llama-v3", "llama-bpe",
                                                                  "smaug-bpe", "dbrx",     "falcon3"};
  static constexpr std::array<std::string_view, 4> kLikeQwen2 = {"qwen2", "stablelm2", "deepseek-r1-qwen", "megrez"};
  static constexpr std::array<std::string_view, 7> kLikeStarcoder = {"starcoder", "refact",     "command-r", "smollm",
                                                                     "codeshell", "minerva-7b", "exaone"};
  if (is_one_of(name, kLikeGpt2)) return GgufPreTokenizer{{kGpt2}};
  if (is_one_of(name, kLikeLlama3)) {
    const bool own_words = name.starts_with("llama") || name == "falcon3";
    return GgufPreTokenizer{{kLlama3}, own_words, own_words};
  }
  if (is_one_of(name, kLikeQwen2)) return GgufPreTokenizer{{kQwen2}};
  if (is_one_of(name, kLikeStarcoder)) return GgufPreTokenizer{{R"(\p{N})", kGpt2}};
  if (name == "tekken") return GgufPreTokenizer{{kTekken}, true, true};
  if (name == "gpt-4o" || name == "llama4") return GgufPreTokenizer{{kGpt4o}};
  if (name == "deepseek-v3") return GgufPreTokenizer{{R"(\p{N}{1,3})", kDeepseekIdeographs, kDeepseek3}};
  if (name == "falcon") return GgufPreTokenizer{{R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2, "[0-9][0-9][0-9]"}};
  if (name == "default") {
    return GgufPreTokenizer{{R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}};
  }
  return std::nullopt;
}

}  // namespace kinglet
