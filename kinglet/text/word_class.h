// The closed classes of English words: the few hundred that every sentence is built around.
#pragma once

#include <string_view>

namespace kinglet {

enum class WordClass {
  kOpen,         // nouns, verbs, adjectives and whatever else is not listed
  kDeterminer,   // articles, possessives, demonstratives, quantifiers, small numbers
  kPronoun,      // that stands alone: he, everyone, which
  kPreposition,  // and "as", "than"
  kAuxiliary,    // be, have, do, modals, "to", "not", and their contractions
  kConjunction,
  kAdverb,  // short ones; those in -ly are recognised by their ending
};

// word: lower case, with ' as the apostrophe. "to" is an auxiliary: the chunker decides what it is.
WordClass word_class(std::string_view word);

}  // namespace kinglet
