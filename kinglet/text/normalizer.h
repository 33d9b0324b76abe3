// The "normalizer" of a tokenizer.json: what is done to a text before it is split.
#pragma once

#include <memory>
#include <string>

#include "kinglet/text/json_fields.h"

namespace kinglet {

struct NormalizedText {
  std::string text;  // valid UTF-8
  // Its first character comes from the very start of the user's text (Metaspace asks for it).
  bool at_start = false;
};

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(NormalizedText& text) const = 0;
};

// NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Prepend, Replace, ByteLevel and Sequence. Raises Error (bad
// input) that names another type.
std::unique_ptr<Normalizer> parse_normalizer(const JsonFields& json);

}  // namespace kinglet
