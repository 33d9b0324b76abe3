// A tokenizer for tests: every byte is a token, and three special tokens follow.
#pragma once

#include <algorithm>
#include <array>
#include <string>

#include "kinglet/base/error.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet::testing_support {

class ByteTokenizer : public Tokenizer {
 public:
  static constexpr TokenId kBos = 256, kEos = 257, kPadding = 258;

  std::vector<TokenId> encode(std::string_view text, bool add_special = true) const override {
    std::vector<TokenId> ids;
    if (add_special) ids.push_back(kBos);
    for (std::size_t at = 0; at < text.size();) {
      const auto* special = std::find_if(kSpecial.begin(), kSpecial.end(),
                                         [&](std::string_view one) { return text.substr(at).starts_with(one); });
      if (special != kSpecial.end()) {
        ids.push_back(static_cast<TokenId>(256 + (special - kSpecial.begin())));
        at += special->size();
      } else {
        ids.push_back(static_cast<unsigned char>(text[at++]));
      }
    }
    return ids;
  }
  std::string decode(std::span<const TokenId> ids, bool skip_special = true) const override {
    std::string text;
    for (const TokenId id : ids) {
      if (!skip_special || !is_special(id)) text += token(id);
    }
    return text;
  }
  std::int64_t vocabulary_size() const override { return 259; }
  std::optional<TokenId> find_id(std::string_view token) const override {
    const std::vector<TokenId> ids = encode(token, false);
    if (ids.size() != 1) return std::nullopt;
    return ids[0];
  }
  std::string token(TokenId id) const override {
    if (id < 0 || id >= vocabulary_size()) throw bad_input("tokenizer", "no such token");
    return is_special(id) ? std::string(kSpecial[static_cast<std::size_t>(id - 256)])
                          : std::string(1, static_cast<char>(id));
  }
  bool is_special(TokenId id) const override { return id >= 256; }
  std::optional<TokenId> bos() const override { return kBos; }
  std::optional<TokenId> eos() const override { return kEos; }
  std::optional<TokenId> padding() const override { return kPadding; }

 private:
  static constexpr std::array<std::string_view, 3> kSpecial = {"<bos>", "<eos>", "<pad>"};
};

}  // namespace kinglet::testing_support
