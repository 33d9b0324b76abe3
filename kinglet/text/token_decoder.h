// The "decoder" of a tokenizer.json: what turns the texts of tokens into the text that a user reads.
//
// A decoder is a chain of steps, and works on a stream: a step gives out text as soon as no later token can change it.
// What it has given out is always whole characters.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/text/json_fields.h"

namespace kinglet {

// One step of a decoder at work on one stream of tokens.
class DecodeStep {
 public:
  virtual ~DecodeStep() = default;
  // A part of a token's text; `ends` with its last part.
  virtual void push(std::string_view part, bool ends) = 0;
  virtual void finish() {}

  void set_next(DecodeStep* next) { next_ = next; }

 protected:
  void emit(std::string_view part, bool ends) { next_->push(part, ends); }

 private:
  DecodeStep* next_ = nullptr;
};

using MakeDecodeStep = std::function<std::unique_ptr<DecodeStep>()>;

// What makes decoders; immutable.
class TokenDecoder {
 public:
  // Tokens joined by blanks, which is what files without decoder mean.
  TokenDecoder();
  explicit TokenDecoder(std::vector<MakeDecodeStep> steps) : steps_(std::move(steps)) {}
  // ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip and Sequence. Raises Error (bad input) that names another.
  static TokenDecoder parse(const JsonFields& json);

  // A stream of its own.
  class Stream {
   public:
    explicit Stream(const std::vector<MakeDecodeStep>& steps);
    // Append to `out` what became certain.
    void push(std::string_view token, std::string& out);
    void finish(std::string& out);

   private:
    class Output : public DecodeStep {
     public:
      void push(std::string_view part, bool) override { text += part; }
      std::string text;
    };
    DecodeStep& first() { return steps_.empty() ? *output_ : *steps_.front(); }
    void hand_over(std::string& out);

    std::vector<std::unique_ptr<DecodeStep>> steps_;
    std::unique_ptr<Output> output_;
  };
  Stream stream() const { return Stream(steps_); }

 private:
  std::vector<MakeDecodeStep> steps_;
};

// Steps for tokenizers that are not described by JSON.
MakeDecodeStep byte_level_decoding();
MakeDecodeStep replace_decoding(std::string text, std::string content);
MakeDecodeStep byte_fallback_decoding();
MakeDecodeStep fuse_decoding();
// Takes up to `start` characters `content` from the start of a token and `stop` from its end.
MakeDecodeStep strip_decoding(char32_t content, std::size_t start, std::size_t stop);

}  // namespace kinglet
