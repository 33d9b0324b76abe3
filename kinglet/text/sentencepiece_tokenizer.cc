#include "kinglet/text/sentencepiece_tokenizer.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include "kinglet/base/error.h"
#include "kinglet/text/sentencepiece_model.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

using sentencepiece::SentencePieceProcessor;

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581

enum class PieceKind { kText, kByte, kUnknown, kToken };

struct Piece {
  std::string text;
  PieceKind kind = PieceKind::kText;
  bool special = false;
  char byte = 0;
  bool present = true;
};

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(std::string_view model, std::string_view where, const TokenizerConfig& config)
      : settings_(read_sentencepiece_settings(model, where)), matcher_({}) {
    const auto status = processor_.LoadFromSerializedProto(model);
    if (!status.ok()) throw bad_input(where, fmt::format("is no SentencePiece model: {}", status.ToString()));
    list_pieces();
    add_tokens(config);
    matcher_ = AddedTokenMatcher(tokens_);
    name_tokens(config);
  }

  std::vector<TokenId> encode(std::string_view text, bool add_special) const override {
    std::string repaired;
    if (!utf8::is_valid(text)) {
      repaired = utf8::replace_invalid(text);
      text = repaired;
    }
    std::vector<TokenId> ids;
    if (add_special && add_bos_) ids.push_back(*bos_);
    std::vector<TextSection> sections;
    matcher_.split(text, sections);
    std::vector<int> part;
    for (const TextSection& section : sections) {
      if (section.id) {
        ids.push_back(*section.id);
        continue;
      }
      const auto status = processor_.Encode(section.text, &part);
      if (!status.ok()) throw failed("SentencePiece", status.ToString());
      ids.insert(ids.end(), part.begin(), part.end());
    }
    if (add_special && add_eos_) ids.push_back(*eos_);
    return ids;
  }

  std::unique_ptr<DecodingStream> decoding_stream(bool skip_special) const override {
    return std::make_unique<Stream>(*this, skip_special);
  }
  std::int64_t vocabulary_size() const override { return static_cast<std::int64_t>(pieces_.size()); }
  std::optional<TokenId> find_id(std::string_view token) const override {
    const auto found = ids_.find(std::string(token));
    if (found == ids_.end()) return std::nullopt;
    return found->second;
  }
  std::string token(TokenId id) const override { return piece(id).text; }
  bool is_special(TokenId id) const override { return piece(id).special; }
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }
  std::optional<TokenId> padding() const override { return padding_; }

 private:
  // The library's rules: the first blank of a text is the one that encoding put there; bytes become characters, each
  // byte that is part of none U+FFFD.
  class Stream : public DecodingStream {
   public:
    Stream(const SentencePieceTokenizer& tokenizer, bool skip_special)
        : tokenizer_(tokenizer), skip_special_(skip_special) {}

    void push(TokenId id, std::string& out) override {
      const Piece& piece = tokenizer_.piece(id);
      if (!piece.present || (skip_special_ && piece.special && piece.kind != PieceKind::kUnknown)) return;
      if (piece.kind == PieceKind::kByte) {
        bytes_.push_back(piece.byte);
        return give_characters(false, out);
      }
      give_characters(true, out);
      if (took_blank_ || any_text_) at_start_ = false;
      took_blank_ = false;
      if (piece.kind == PieceKind::kText)
        give_text(piece.text, out);
      else
        give(piece.kind == PieceKind::kUnknown ? tokenizer_.settings_.unknown_surface : piece.text, out);
    }
    void finish(std::string& out) override { give_characters(true, out); }

   private:
    void give(std::string_view text, std::string& out) {
      any_text_ = any_text_ || !text.empty();
      out += text;
    }
    void give_text(std::string_view text, std::string& out) {
      const SentencePieceSettings& settings = tokenizer_.settings_;
      if (at_start_ && (settings.add_dummy_prefix || settings.remove_extra_whitespaces) && text.starts_with(kSpace)) {
        text.remove_prefix(kSpace.size());
        took_blank_ = !settings.remove_extra_whitespaces;
      }
      std::string plain;
      while (!text.empty()) {
        const std::size_t at = std::min(text.find(kSpace), text.size());
        plain += text.substr(0, at);
        text.remove_prefix(at);
        if (text.empty()) break;
        plain += ' ';
        text.remove_prefix(kSpace.size());
      }
      give(plain, out);
    }
    void give_characters(bool all, std::string& out) {
      while (!bytes_.empty()) {
        const utf8::Character character = utf8::first_character(bytes_);
        if (character.incomplete && !all) return;
        const std::size_t length = character.valid ? character.length : 1;
        give(character.valid ? std::string_view(bytes_).substr(0, length) : utf8::kReplacementText, out);
        bytes_.erase(0, length);
      }
    }

    const SentencePieceTokenizer& tokenizer_;
    bool skip_special_;
    std::string bytes_;
    bool at_start_ = true;
    bool took_blank_ = false;
    bool any_text_ = false;
  };

  const Piece& piece(TokenId id) const {
    if (id < 0 || id >= vocabulary_size()) {
      throw bad_input("tokenizer", fmt::format("the id {} is outside the vocabulary of {}", id, vocabulary_size()));
    }
    return pieces_[static_cast<std::size_t>(id)];
  }

  void list_pieces() {
    for (int id = 0; id < processor_.GetPieceSize(); ++id) {
      Piece piece;
      piece.text = utf8::replace_invalid(processor_.IdToPiece(id));
      if (processor_.IsByte(id)) {
        piece.kind = PieceKind::kByte;
        piece.byte = static_cast<char>(std::stoi(piece.text.substr(3, 2), nullptr, 16));  // the library checked it
      } else if (processor_.IsUnknown(id) || processor_.IsControl(id)) {
        piece.kind = processor_.IsUnknown(id) ? PieceKind::kUnknown : PieceKind::kToken;
        piece.special = true;
        tokens_.push_back({piece.text, id, true});
      }
      ids_.emplace(piece.text, id);
      pieces_.push_back(std::move(piece));
    }
  }

  void add_tokens(const TokenizerConfig& config) {
    constexpr std::size_t kMostAdded = 1 << 20;
    for (const AddedToken& token : config.added) {
      const auto id = static_cast<std::size_t>(token.id);
      if (id >= pieces_.size() + kMostAdded)
        throw bad_input("tokenizer_config.json", "an added token's id is too large");
      if (id >= pieces_.size()) pieces_.resize(id + 1, {"", PieceKind::kToken, false, 0, false});
      Piece& piece = pieces_[id];
      if (!piece.present) piece = {token.content, PieceKind::kToken, token.special};
      if (piece.text != token.content) continue;  // another name of a piece: the model's counts
      piece.special = token.special;
      ids_.insert_or_assign(token.content, token.id);
      tokens_.push_back(token);
      tokens_.back().normalized = false;
    }
  }

  void name_tokens(const TokenizerConfig& config) {
    const auto choose = [&](const std::optional<std::string>& name, int from_model) -> std::optional<TokenId> {
      if (name) return find_id(*name);
      if (from_model >= 0) return from_model;
      return std::nullopt;
    };
    bos_ = choose(config.bos, processor_.bos_id());
    eos_ = choose(config.eos, processor_.eos_id());
    padding_ = choose(config.padding, processor_.pad_id());
    add_bos_ = bos_ && config.add_bos.value_or(processor_.bos_id() >= 0);
    add_eos_ = eos_ && config.add_eos.value_or(false);
  }

  SentencePieceProcessor processor_;
  SentencePieceSettings settings_;
  std::vector<Piece> pieces_;  // by id
  std::unordered_map<std::string, TokenId> ids_;
  std::vector<AddedToken> tokens_;
  AddedTokenMatcher matcher_;
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;
  std::optional<TokenId> padding_;
  bool add_bos_ = false;
  bool add_eos_ = false;
};

}  // namespace

std::unique_ptr<Tokenizer> parse_sentencepiece(std::string_view model, std::string_view where,
                                               const TokenizerConfig& config) {
  return std::make_unique<SentencePieceTokenizer>(model, where, config);
}

}  // namespace kinglet
