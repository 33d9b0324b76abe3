#include "kinglet/text/gguf_tokenizer.h"

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/text/bpe.h"
#include "kinglet/text/gguf_patterns.h"
#include "kinglet/text/score_merges.h"
#include "kinglet/text/sentencepiece_space.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

// tokenizer.ggml.token_type
constexpr std::int64_t kNormal = 1;
constexpr std::int64_t kUnknown = 2;
constexpr std::int64_t kControl = 3;
constexpr std::int64_t kUserDefined = 4;

struct GgufVocabulary {
  std::vector<std::string> texts;
  std::vector<std::int64_t> types;
};

GgufVocabulary read_vocabulary(const Gguf& gguf) {
  GgufVocabulary result;
  for (const std::string_view text : gguf.texts("tokenizer.ggml.tokens")) {
    result.texts.push_back(utf8::replace_invalid(text));
  }
  if (result.texts.empty() || result.texts.size() > static_cast<std::size_t>(Vocabulary::kMostIds)) {
    throw bad_input(gguf.where(), fmt::format("tokenizer.ggml.tokens has {} tokens", result.texts.size()));
  }
  result.types = gguf.optional_integers("tokenizer.ggml.token_type").value_or(std::vector<std::int64_t>());
  if (result.types.empty()) result.types.assign(result.texts.size(), kNormal);
  if (result.types.size() != result.texts.size()) {
    throw bad_input(gguf.where(), "tokenizer.ggml.token_type is not as long as tokenizer.ggml.tokens");
  }
  return result;
}

Vocabulary table_of(const GgufVocabulary& from, std::string_view where) {
  Vocabulary vocabulary(from.texts.size(), where);
  for (std::size_t id = 0; id < from.texts.size(); ++id) {
    vocabulary.add(from.texts[id], static_cast<std::int64_t>(id));
  }
  return vocabulary;
}

std::vector<AddedToken> added_of(const GgufVocabulary& from) {
  std::vector<AddedToken> added;
  for (std::size_t id = 0; id < from.texts.size(); ++id) {
    const std::int64_t type = from.types[id];
    if (type != kControl && type != kUserDefined && type != kUnknown) continue;
    AddedToken token;
    token.content = from.texts[id];
    token.id = static_cast<TokenId>(id);
    token.special = type != kUserDefined;
    added.push_back(std::move(token));
  }
  return added;
}

std::optional<TokenId> named_token(const Gguf& gguf, const char* key, std::size_t size) {
  const auto id = gguf.optional_integer(key);
  if (!id || *id == -1 || *id == 0xFFFFFFFF) return std::nullopt;
  if (*id < 0 || *id >= static_cast<std::int64_t>(size)) {
    throw bad_input(gguf.where(), fmt::format("{} is {}, which no token has", key, *id));
  }
  return static_cast<TokenId>(*id);
}

void name_tokens(const Gguf& gguf, std::size_t size, bool add_bos, TokenizerParts& parts) {
  parts.named.bos = named_token(gguf, "tokenizer.ggml.bos_token_id", size);
  parts.named.eos = named_token(gguf, "tokenizer.ggml.eos_token_id", size);
  parts.named.padding = named_token(gguf, "tokenizer.ggml.padding_token_id", size);
  TokenTemplate around;
  if (parts.named.bos && gguf.optional_boolean("tokenizer.ggml.add_bos_token").value_or(add_bos)) {
    around.before.push_back(*parts.named.bos);
  }
  if (parts.named.eos && gguf.optional_boolean("tokenizer.ggml.add_eos_token").value_or(false)) {
    around.after.push_back(*parts.named.eos);
  }
  parts.templates.push_back(std::move(around));
}

// Byte-level BPE.

Bpe::Merges read_merges(const Gguf& gguf) {
  Bpe::Merges merges;
  for (const std::string_view line : gguf.texts("tokenizer.ggml.merges")) {
    const std::size_t blank = line.find(' ', 1);
    if (blank == std::string_view::npos) {
      throw bad_input(gguf.where(), fmt::format("tokenizer.ggml.merges has the entry '{}' without blank", line));
    }
    merges.emplace_back(line.substr(0, blank), line.substr(blank + 1));
  }
  return merges;
}

TokenizerParts byte_level_parts(const Gguf& gguf, const GgufVocabulary& vocabulary) {
  const std::string name(gguf.optional_text("tokenizer.ggml.pre").value_or("default"));
  const auto pre_tokenizer = find_gguf_pre_tokenizer(name);
  if (!pre_tokenizer) {
    throw bad_input(gguf.where(), fmt::format("the pre-tokenizer '{}' (tokenizer.ggml.pre) is not supported", name),
                    "use the tokenizer.json of the model");
  }
  TokenizerParts parts;
  for (const char* pattern : pre_tokenizer->patterns) {
    parts.pre_tokenizer.push_back(make_regex_split(pattern, gguf.where()));
  }
  BpeOptions options;
  options.ignore_merges = pre_tokenizer->ignore_merges;
  options.raw_bytes = true;
  parts.model = std::make_unique<Bpe>(table_of(vocabulary, gguf.where()), read_merges(gguf), options, gguf.where());
  parts.decoder = TokenDecoder({byte_level_decoding()});
  name_tokens(gguf, vocabulary.texts.size(), pre_tokenizer->add_bos, parts);
  return parts;
}

MergeTable merges_of(const Gguf& gguf, const GgufVocabulary& from, const Vocabulary& vocabulary) {
  const std::vector<double> scores = gguf.numbers("tokenizer.ggml.scores");
  if (scores.size() != from.texts.size()) {
    throw bad_input(gguf.where(), "tokenizer.ggml.scores is not as long as tokenizer.ggml.tokens");
  }
  return merges_by_score(
      vocabulary, scores,
      [&](TokenId id) {
        const std::int64_t type = from.types[static_cast<std::size_t>(id)];
        return type == kNormal || type == kUserDefined;
      },
      gguf.where());
}

// " " becomes U+2581, with one more in front.
class SpaceMarks : public Normalizer {
 public:
  explicit SpaceMarks(bool prefix) : prefix_(prefix) {}
  void apply(NormalizedText& text) const override {
    if (text.text.empty()) return;
    std::string marked(prefix_ ? kSentencePieceSpace : "");
    for (const char byte : text.text) {
      if (byte == ' ')
        marked += kSentencePieceSpace;
      else
        marked += byte;
    }
    text.text = std::move(marked);
  }

 private:
  bool prefix_;
};

TokenizerParts sentencepiece_parts(const Gguf& gguf, const GgufVocabulary& vocabulary) {
  const bool prefix = gguf.optional_boolean("tokenizer.ggml.add_space_prefix").value_or(true);
  TokenizerParts parts;
  parts.normalizer = std::make_unique<SpaceMarks>(prefix);
  Vocabulary table = table_of(vocabulary, gguf.where());
  MergeTable merges = merges_of(gguf, vocabulary, table);
  BpeOptions options;
  options.byte_fallback = true;
  const auto unknown = named_token(gguf, "tokenizer.ggml.unknown_token_id", vocabulary.texts.size());
  if (unknown) options.unknown = vocabulary.texts[static_cast<std::size_t>(*unknown)];
  parts.model = std::make_unique<Bpe>(std::move(table), std::move(merges), options, gguf.where());
  std::vector<MakeDecodeStep> steps = {replace_decoding(std::string(kSentencePieceSpace), " "),
                                       byte_fallback_decoding(), fuse_decoding()};
  if (prefix) steps.push_back(strip_decoding(U' ', 1, 0));
  parts.decoder = TokenDecoder(std::move(steps));
  name_tokens(gguf, vocabulary.texts.size(), true, parts);
  return parts;
}

}  // namespace

std::unique_ptr<Tokenizer> make_gguf_tokenizer(const Gguf& gguf) {
  const GgufVocabulary vocabulary = read_vocabulary(gguf);
  const std::string_view model = gguf.text("tokenizer.ggml.model");
  TokenizerParts parts;
  if (model == "gpt2") {
    parts = byte_level_parts(gguf, vocabulary);
  } else if (model == "llama") {
    parts = sentencepiece_parts(gguf, vocabulary);
  } else {
    throw bad_input(gguf.where(), fmt::format("the tokenizer '{}' (tokenizer.ggml.model) is not supported", model),
                    "use the tokenizer.json of the model");
  }
  parts.added = added_of(vocabulary);
  return std::make_unique<TokenizerPipeline>(std::move(parts));
}

}  // namespace kinglet
