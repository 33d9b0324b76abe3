// Text to token ids and back, for every kind of tokenizer file that users have.
//
// load() reads a Hugging Face folder, a tokenizer.json (byte-level BPE, Metaspace BPE, Unigram), a SentencePiece
// tokenizer.model or the vocabulary of a GGUF file. Encoding gives exactly the ids of the software that the file was
// made for: the `tokenizers` package, SentencePiece (with the special tokens of tokenizer_config.json), llama.cpp.
// Implementations are immutable after construction and may be used from many threads at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet {

using TokenId = std::int32_t;

// One decoding at work; see StreamDecoder, which is the one to use.
class DecodingStream {
 public:
  virtual ~DecodingStream() = default;
  virtual void push(TokenId id, std::string& out) = 0;  // appends whole characters to `out`
  virtual void finish(std::string& out) = 0;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Of a folder: tokenizer.json, else tokenizer.model. tokenizer_config.json and special_tokens_map.json beside it name
  // the special tokens. Raises Error (bad input) for a file that is missing, damaged, or uses a component that is not
  // supported (the error names it).
  static std::unique_ptr<Tokenizer> load(const std::filesystem::path& path);

  // `add_special`: also the tokens around a text (BOS, EOS), as the post-processor of a tokenizer.json, add_bos_token
  // and add_eos_token beside a tokenizer.model (without them: BOS), or those keys of a GGUF file say. Special and added
  // tokens that stand in `text` become their ids in both cases. Invalid UTF-8 is replaced by U+FFFD first. Raises Error
  // (bad input) for texts that a vocabulary without unknown token cannot write, or on which a pattern backtracks
  // endlessly.
  virtual std::vector<TokenId> encode(std::string_view text, bool add_special = true) const = 0;
  // Ids outside the vocabulary raise Error (bad input); those of its holes are passed over. The result is UTF-8, with
  // U+FFFD where the ids' bytes are not.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special = true) const;
  // Must not outlive the tokenizer. One of decode() and decoding_stream() has to be implemented: each does its work
  // with the other (this one by decoding all ids so far again, and waiting while they end in U+FFFD).
  virtual std::unique_ptr<DecodingStream> decoding_stream(bool skip_special) const;

  virtual std::int64_t vocabulary_size() const = 0;                          // one more than the largest id
  virtual std::optional<TokenId> find_id(std::string_view token) const = 0;  // by the text of the vocabulary entry
  virtual std::string token(TokenId id) const = 0;                           // the vocabulary entry as it stands
  virtual bool is_special(TokenId id) const = 0;

  // From tokenizer_config.json, or what the file itself says; nothing when it names none.
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  virtual std::optional<TokenId> padding() const = 0;
};

// Decodes one id at a time and gives out only whole UTF-8 characters.
//
// All that push() and finish() return, joined, is what decode() gives for all ids. Text is given out once no later id
// can change it: a vocabulary with byte tokens (Llama 2) decides about a run of them only at its end.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true);

  // The text that became certain with `id`; may be empty.
  std::string push(TokenId id);
  // What is still held back, with U+FFFD for an incomplete character. The decoder is then as new.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::unique_ptr<DecodingStream> stream_;
};

}  // namespace kinglet
