#include "kinglet/text/porter_stemmer.h"

#include <array>
#include <span>
#include <utility>

namespace kinglet {
namespace {

bool is_plain_vowel(char c) { return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u'; }

// The letters of a stem as consonants and vowels; a y behind a consonant is a vowel.
struct Shape {
  explicit Shape(std::string_view stem) {
    bool before = false;
    for (const char c : stem) {
      const bool consonant = c == 'y' ? !before : !is_plain_vowel(c);
      measure += consonant && !before && letters > 0 ? 1 : 0;
      has_vowel = has_vowel || !consonant;
      last_three = (last_three << 1U | (consonant ? 1U : 0U)) & 7U;
      before = consonant;
      ++letters;
    }
  }
  bool ends_in_consonant() const { return letters > 0 && (last_three & 1U) != 0; }

  int measure = 0;  // m: how often a consonant follows a vowel
  int letters = 0;
  bool has_vowel = false;
  unsigned last_three = 0;  // bits, the last letter lowest: 1 for a consonant
};

// *o: ends consonant, vowel, consonant, the last none of w, x, y; NLTK also takes words of vowel, consonant.
bool ends_short(std::string_view stem) {
  const Shape shape(stem);
  if (shape.letters == 2) return (shape.last_three & 3U) == 1U;
  return shape.letters >= 3 && shape.last_three == 5U && stem.back() != 'w' && stem.back() != 'x' && stem.back() != 'y';
}

bool ends_double_consonant(std::string_view word) {
  return word.size() >= 2 && word.back() == word[word.size() - 2] && Shape(word).ends_in_consonant();
}

std::string_view without(std::string_view word, std::size_t letters) { return word.substr(0, word.size() - letters); }

struct Rule {
  std::string_view ending, replacement;
};

// The first rule whose ending is there, if the measure of what stands before is more than `above`.
bool apply(std::string& word, std::span<const Rule> rules, int above) {
  for (const Rule& rule : rules) {
    if (!word.ends_with(rule.ending)) continue;
    const std::string_view stem = without(word, rule.ending.size());
    if (Shape(stem).measure <= above) return false;
    word = std::string(stem) + std::string(rule.replacement);
    return true;
  }
  return false;
}

void remove_plural(std::string& word) {
  if (word.ends_with("ies")) {
    word.resize(word.size() - (word.size() == 4 ? 1 : 2));
  } else if (word.ends_with("sses")) {
    word.resize(word.size() - 2);
  } else if (word.ends_with("s") && !word.ends_with("ss")) {
    word.pop_back();
  }
}

void remove_past_and_participle(std::string& word) {
  if (word.ends_with("ied")) {
    word.resize(word.size() - (word.size() == 4 ? 1 : 2));
    return;
  }
  if (word.ends_with("eed")) {
    if (Shape(without(word, 3)).measure > 0) word.pop_back();
    return;
  }
  const std::size_t ending = word.ends_with("ed") ? 2 : word.ends_with("ing") ? 3 : 0;
  if (ending == 0 || !Shape(without(word, ending)).has_vowel) return;
  word.resize(word.size() - ending);
  if (word.ends_with("at") || word.ends_with("bl") || word.ends_with("iz")) {
    word += 'e';
  } else if (ends_double_consonant(word)) {
    if (word.back() != 'l' && word.back() != 's' && word.back() != 'z') word.pop_back();
  } else if (Shape(word).measure == 1 && ends_short(word)) {
    word += 'e';
  }
}

void change_y(std::string& word) {
  if (word.size() > 2 && word.back() == 'y' && Shape(without(word, 1)).ends_in_consonant()) word.back() = 'i';
}

constexpr std::array<Rule, 21> kDoubleEndings = {{
    {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"izer", "ize"},
    {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"}, {"eli", "e"},     {"ousli", "ous"},
    {"ization", "ize"}, {"ation", "ate"},   {"ator", "ate"},  {"alism", "al"},  {"iveness", "ive"},
    {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},  {"iviti", "ive"}, {"biliti", "ble"},
    {"fulli", "ful"},
}};
constexpr std::array<Rule, 7> kAdjectiveEndings = {
    {{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""}, {"ness", ""}}};
constexpr std::array<Rule, 11> kEndingsBeforeIon = {{{"al", ""},
                                                     {"ance", ""},
                                                     {"ence", ""},
                                                     {"er", ""},
                                                     {"ic", ""},
                                                     {"able", ""},
                                                     {"ible", ""},
                                                     {"ant", ""},
                                                     {"ement", ""},
                                                     {"ment", ""},
                                                     {"ent", ""}}};
constexpr std::array<Rule, 7> kEndingsAfterIon = {
    {{"ou", ""}, {"ism", ""}, {"ate", ""}, {"iti", ""}, {"ous", ""}, {"ive", ""}, {"ize", ""}}};

void shorten_double_endings(std::string& word) {
  while (word.ends_with("alli") && Shape(without(word, 4)).measure > 0) word.resize(word.size() - 2);
  if (word.ends_with("logi")) {
    if (Shape(without(word, 3)).measure > 0) word.pop_back();
  } else {
    apply(word, kDoubleEndings, 0);
  }
}

void remove_last_endings(std::string& word) {
  for (const Rule& rule : kEndingsBeforeIon) {
    if (!word.ends_with(rule.ending)) continue;
    apply(word, {&rule, 1}, 1);
    return;
  }
  if (word.ends_with("ion")) {
    const std::string_view stem = without(word, 3);
    if (Shape(stem).measure > 1 && (stem.back() == 's' || stem.back() == 't')) word.resize(stem.size());
    return;
  }
  apply(word, kEndingsAfterIon, 1);
}

void tidy(std::string& word) {
  if (word.ends_with("e")) {
    const std::string_view stem = without(word, 1);
    const int measure = Shape(stem).measure;
    if (measure > 1 || (measure == 1 && !ends_short(stem))) word.pop_back();
  }
  if (word.ends_with("ll") && Shape(without(word, 1)).measure > 1) word.pop_back();
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 16> kIrregular = {{{"sky", "sky"},
                                                                                       {"skies", "sky"},
                                                                                       {"dying", "die"},
                                                                                       {"lying", "lie"},
                                                                                       {"tying", "tie"},
                                                                                       {"news", "news"},
                                                                                       {"innings", "inning"},
                                                                                       {"inning", "inning"},
                                                                                       {"outings", "outing"},
                                                                                       {"outing", "outing"},
                                                                                       {"cannings", "canning"},
                                                                                       {"canning", "canning"},
                                                                                       {"howe", "howe"},
                                                                                       {"proceed", "proceed"},
                                                                                       {"exceed", "exceed"},
                                                                                       {"succeed", "succeed"}}};

}  // namespace

std::string porter_stem(std::string_view word) {
  for (const auto& [form, stem] : kIrregular) {
    if (word == form) return std::string(stem);
  }
  std::string result(word);
  if (word.size() <= 2) return result;
  remove_plural(result);
  remove_past_and_participle(result);
  change_y(result);
  shorten_double_endings(result);
  apply(result, kAdjectiveEndings, 0);
  remove_last_endings(result);
  tidy(result);
  return result;
}

}  // namespace kinglet
