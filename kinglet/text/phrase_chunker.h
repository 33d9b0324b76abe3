// Phrases of English text by rules: which words belong together.
//
// Text is cut at punctuation and line ends; between them, words become phrases from left to right:
//
//   NP  a pronoun, or determiners, numbers and adverbs followed by open-class words   "the very old house"
//   PP  a preposition and the NP behind it                                            "of the old house"
//   VP  auxiliaries, "to" and adverbs and the open-class word behind them             "has not been seen"
//
// Conjunctions stand between phrases; a phrase has at most eight words. Verbs are not told from nouns: a bare run of
// open-class words is an NP. The word classes are in word_class.h. Other languages fall into NPs of up to eight words.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace kinglet {

struct Phrase {
  enum class Tag { kNoun, kPreposition, kVerb };  // NP, PP, VP
  Tag tag = Tag::kNoun;
  std::size_t begin = 0, end = 0;  // bytes of the text, without blanks around
  std::size_t words = 1;
};

// In order, not overlapping. Time and memory are linear in the text, whatever its bytes are.
std::vector<Phrase> phrases(std::string_view text);

// Where words stand: runs of ASCII letters and digits, bytes of other characters, and apostrophes and hyphens between
// them.
struct WordPlace {
  std::size_t begin = 0, end = 0;
};
std::vector<WordPlace> words_of(std::string_view text);

// Sentences: up to '.', '!' or '?' with quotes and brackets behind it, or a line end. A '.' behind an initial or a
// known abbreviation, inside a number, or before a small letter ends nothing. (The use that Punkt has, by rules.)
std::vector<WordPlace> sentences(std::string_view text);

}  // namespace kinglet
