#include "kinglet/text/sentencepiece_tokenizer.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/text/bpe.h"
#include "kinglet/text/score_merges.h"
#include "kinglet/text/sentencepiece_model.h"
#include "kinglet/text/sentencepiece_normalizer.h"
#include "kinglet/text/sentencepiece_space.h"
#include "kinglet/text/unigram.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

enum class PieceKind { kText, kByte, kUnknown, kToken };

struct Piece {
  std::string text;
  PieceKind kind = PieceKind::kText;
  bool special = false;
  char byte = 0;
  bool present = true;
};

using PieceType = SentencePieceModel::PieceType;

std::unique_ptr<TokenModel> make_model(const SentencePieceModel& model, std::string_view where) {
  if (model.type != SentencePieceModel::Type::kBpe && model.type != SentencePieceModel::Type::kUnigram) {
    throw bad_input(where, "word and character models are not supported", "use a unigram or BPE model");
  }
  // Pieces that encoding never makes out of characters stay out of the way, but keep their ids.
  const auto is_merged = [&](TokenId id) {
    const PieceType type = model.pieces[static_cast<std::size_t>(id)].type;
    return type == PieceType::kNormal || type == PieceType::kUserDefined;
  };
  std::string unknown_text;
  std::optional<TokenId> unknown;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type != PieceType::kUnknown) continue;
    unknown = static_cast<TokenId>(id);
    unknown_text = model.pieces[id].text;
  }
  if (model.type == SentencePieceModel::Type::kUnigram) {
    std::vector<std::pair<std::string, double>> entries;
    for (const auto& piece : model.pieces) entries.emplace_back(piece.text, piece.score);
    return std::make_unique<Unigram>(std::move(entries), unknown, model.byte_fallback, where);
  }
  Vocabulary vocabulary(model.pieces.size(), where);
  std::vector<double> scores;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    vocabulary.add(model.pieces[id].text, static_cast<std::int64_t>(id));
    scores.push_back(model.pieces[id].score);
  }
  MergeTable merges = merges_by_score(vocabulary, scores, is_merged, where);
  BpeOptions options;
  options.byte_fallback = model.byte_fallback;
  options.unknown = unknown_text;
  options.fuse_unknown = true;
  return std::make_unique<Bpe>(std::move(vocabulary), std::move(merges), options, where);
}

// What decoding needs to know.
struct Settings {
  std::string unknown_surface;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
};

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(std::string_view model, std::string_view where, const TokenizerConfig& config)
      : SentencePieceTokenizer(parse_sentencepiece_model(model, where), where, config) {}

  SentencePieceTokenizer(const SentencePieceModel& model, std::string_view where, const TokenizerConfig& config)
      : settings_{model.unknown_surface, model.add_dummy_prefix, model.remove_extra_whitespaces},
        normalizer_(model, where),
        model_(make_model(model, where)),
        matcher_({}),
        user_defined_({}) {
    list_pieces(model, where);
    add_tokens(config);
    matcher_ = AddedTokenMatcher(tokens_);
    name_tokens(model, config);
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
    for (const TextSection& section : sections) {
      if (section.id) {
        ids.push_back(*section.id);
        continue;
      }
      encode_text(section.text, ids);
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
      const Settings& settings = tokenizer_.settings_;
      if (at_start_ && (settings.add_dummy_prefix || settings.remove_extra_whitespaces) &&
          text.starts_with(kSentencePieceSpace)) {
        text.remove_prefix(kSentencePieceSpace.size());
        took_blank_ = !settings.remove_extra_whitespaces;
      }
      std::string plain;
      while (!text.empty()) {
        const std::size_t at = std::min(text.find(kSentencePieceSpace), text.size());
        plain += text.substr(0, at);
        text.remove_prefix(at);
        if (text.empty()) break;
        plain += ' ';
        text.remove_prefix(kSentencePieceSpace.size());
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

  // Symbols that the user of the trainer defined are found as they stand in the normalized text.
  void encode_text(std::string_view text, std::vector<TokenId>& ids) const {
    const std::string normalized = normalizer_(text);
    std::vector<TextSection> sections;
    user_defined_.split(normalized, sections);
    for (const TextSection& section : sections) {
      if (section.id) {
        ids.push_back(*section.id);
      } else if (!section.text.empty()) {
        model_->encode(section.text, ids);
      }
    }
  }

  void list_pieces(const SentencePieceModel& model, std::string_view where) {
    std::vector<AddedToken> user_defined;
    for (const SentencePieceModel::Piece& from : model.pieces) {
      const auto id = static_cast<TokenId>(pieces_.size());
      Piece piece;
      piece.text = from.text;
      if (from.type == PieceType::kByte) {
        piece.kind = PieceKind::kByte;
        piece.byte = byte_of(from.text, where);
      } else if (from.type == PieceType::kUnknown || from.type == PieceType::kControl) {
        piece.kind = from.type == PieceType::kUnknown ? PieceKind::kUnknown : PieceKind::kToken;
        piece.special = true;
        tokens_.push_back({piece.text, id, true});
      } else if (from.type == PieceType::kUserDefined && !from.text.empty()) {
        user_defined.push_back({piece.text, id, false});
      }
      ids_.emplace(piece.text, id);
      pieces_.push_back(std::move(piece));
    }
    user_defined_ = AddedTokenMatcher(user_defined);
  }

  // "<0x41>" is 'A'.
  static char byte_of(std::string_view text, std::string_view where) {
    unsigned value = 0;
    const bool framed = text.size() == 6 && text.starts_with("<0x") && text.ends_with('>');
    const char* const end = text.data() + 5;
    if (!framed || std::from_chars(text.data() + 3, end, value, 16).ptr != end) {
      throw bad_input(where, fmt::format("the byte piece '{}' is not of the form <0x41>", text));
    }
    return static_cast<char>(value);
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

  void name_tokens(const SentencePieceModel& model, const TokenizerConfig& config) {
    const auto control = [&](const std::string& text) -> std::optional<TokenId> {
      const auto id = find_id(text);
      const bool is_control = id && static_cast<std::size_t>(*id) < model.pieces.size() &&
                              model.pieces[static_cast<std::size_t>(*id)].type == PieceType::kControl;
      return is_control ? id : std::nullopt;
    };
    bos_ = config.bos ? find_id(*config.bos) : control(model.bos);
    eos_ = config.eos ? find_id(*config.eos) : control(model.eos);
    padding_ = config.padding ? find_id(*config.padding) : control(model.padding);
    add_bos_ = bos_ && config.add_bos.value_or(control(model.bos).has_value());
    add_eos_ = eos_ && config.add_eos.value_or(false);
  }

  Settings settings_;
  SentencePieceNormalizer normalizer_;
  std::unique_ptr<TokenModel> model_;
  std::vector<Piece> pieces_;  // by id
  std::unordered_map<std::string, TokenId> ids_;
  std::vector<AddedToken> tokens_;
  AddedTokenMatcher matcher_;       // of special and added tokens, in the text as it stands
  AddedTokenMatcher user_defined_;  // in the normalized text
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
