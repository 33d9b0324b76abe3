// Articles of dictionaries as clean English: what their mark-up says, without the mark-up.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet {

struct DictionaryPart {
  enum class Kind { kDefinition, kQuotation, kNote };
  Kind kind = Kind::kDefinition;
  std::string part_of_speech;  // of a definition: "noun"; empty: that of the one before, or none
  std::string number;          // of a definition: "2", "2 (a)"; empty when there is only one
  std::string text;            // one paragraph
};

struct DictionaryEntry {
  std::string headword;
  std::vector<DictionaryPart> parts;
};

// An article of GCIDE (the 1913 Webster's and its supplements). Left out: pronunciation, inflection, etymology, marks
// of usage and source. Nothing when no definition is left, for example of a bare reference.
std::optional<DictionaryEntry> parse_gcide(std::string_view article);

// An article of WordNet as dict-wn has it: definitions with examples and synonyms.
std::optional<DictionaryEntry> parse_wordnet(std::string_view article);

// The entry as paragraphs, one a line: "Pen (transitive verb): To shut up ..."
std::string entry_text(const DictionaryEntry& entry);

// A question about the word, and its answer: the first definitions. The same entry gives the same question.
struct QuestionAndAnswer {
  std::string question, answer;
};
QuestionAndAnswer entry_question(const DictionaryEntry& entry);

}  // namespace kinglet
