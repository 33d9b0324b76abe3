// What turns a piece of text (a word, after normalizing and splitting) into ids.
#pragma once

#include <string_view>
#include <vector>

#include "kinglet/text/vocabulary.h"

namespace kinglet {

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // Appends the ids of `piece`, which is not empty. Thread-safe.
  virtual void encode(std::string_view piece, std::vector<TokenId>& ids) const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
};

}  // namespace kinglet
