#include "kinglet/text/tokenizer.h"

#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

// For tokenizers that can only decode a whole list.
class RepeatedDecoding : public DecodingStream {
 public:
  RepeatedDecoding(const Tokenizer& tokenizer, bool skip_special)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  void push(TokenId id, std::string& out) override {
    ids_.push_back(id);
    std::string text = tokenizer_.decode(ids_, skip_special_);
    while (text.ends_with(utf8::kReplacementText)) text.resize(text.size() - utf8::kReplacementText.size());
    give(text, out);
  }
  void finish(std::string& out) override { give(utf8::replace_invalid(tokenizer_.decode(ids_, skip_special_)), out); }

 private:
  void give(const std::string& text, std::string& out) {
    if (text.size() <= given_) return;
    out += text.substr(given_);
    given_ = text.size();
  }

  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::vector<TokenId> ids_;
  std::size_t given_ = 0;  // bytes
};

}  // namespace

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  const auto stream = decoding_stream(skip_special);
  std::string text;
  for (const TokenId id : ids) stream->push(id, text);
  stream->finish(text);
  return text;
}

std::unique_ptr<DecodingStream> Tokenizer::decoding_stream(bool skip_special) const {
  return std::make_unique<RepeatedDecoding>(*this, skip_special);
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(tokenizer), skip_special_(skip_special), stream_(tokenizer.decoding_stream(skip_special)) {}

std::string StreamDecoder::push(TokenId id) {
  std::string text;
  stream_->push(id, text);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text;
  stream_->finish(text);
  stream_ = tokenizer_.decoding_stream(skip_special_);
  return text;
}

}  // namespace kinglet
