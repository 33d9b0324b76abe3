// dict-wn's articles:
//
//   covenant
//       n 1: a signed written agreement ... [syn: {covenant}, {compact}]
//       2: (Bible) an agreement between God and his people ...; "They covenanted ..."
//       v 1: enter into a covenant
#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include "kinglet/text/dictionary_entry.h"
#include "kinglet/text/dictionary_text.h"

namespace kinglet {
namespace {

std::string part_name(std::string_view mark) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kNames = {
      {{"n", "noun"}, {"v", "verb"}, {"adj", "adjective"}, {"adv", "adverb"}}};
  for (const auto& [known, name] : kNames) {
    if (known == mark) return std::string(name);
  }
  return {};
}

struct SenseMark {
  std::string part_of_speech, number;
  std::size_t length = 0;  // of the mark in its line; 0: the line goes on with the sense before
};

// "n 1: ", "2: "
SenseMark read_mark(std::string_view line) {
  SenseMark mark;
  std::size_t at = 0;
  while (at < line.size() && std::islower(static_cast<unsigned char>(line[at])) != 0) ++at;
  if (at > 0) {
    mark.part_of_speech = part_name(line.substr(0, at));
    if (mark.part_of_speech.empty() || line.substr(at, 1) != " ") return {};
    ++at;
  }
  const std::size_t digits = at;
  while (at < line.size() && std::isdigit(static_cast<unsigned char>(line[at])) != 0) ++at;
  if (at == digits || line.substr(at, 2) != ": ") return {};
  mark.number = std::string(line.substr(digits, at - digits));
  mark.length = at + 2;
  return mark;
}

// Takes "[name: {a}, {b}]" out of `text`; the words in it without `headword`.
std::string take_list(std::string& text, std::string_view name, std::string_view headword) {
  const std::string begin = fmt::format("[{}: ", name);
  const std::size_t from = text.find(begin), to = from == std::string::npos ? from : text.find(']', from);
  if (to == std::string::npos) return {};
  std::string words;
  for (std::size_t open = text.find('{', from); open < to; open = text.find('{', open + 1)) {
    const std::string word = text.substr(open + 1, std::min(text.find('}', open), to) - open - 1);
    if (word == headword) continue;
    words += (words.empty() ? "" : ", ") + word;
  }
  text.erase(from, to + 1 - from);
  return words;
}

std::string sense_text(std::string text, const std::string& headword) {
  const std::string synonyms = take_list(text, "syn", headword), antonyms = take_list(text, "ant", headword);
  for (std::size_t at = text.find('`'); at != std::string::npos; at = text.find('`', at)) text[at] = '\'';
  // Definition; "example"; "example"
  const std::size_t quote = text.find("; \"");
  std::string definition = tidy_sentence(text.substr(0, quote));
  if (quote != std::string::npos) {
    std::string examples = tidy_spaces(text.substr(quote + 2));
    while (examples.ends_with(';')) examples.pop_back();
    definition += fmt::format(" Example{}: {}", examples.find("\"; \"") == std::string::npos ? "" : "s",
                              with_full_stop(examples));
  }
  if (!synonyms.empty()) definition += fmt::format(" Synonyms: {}.", synonyms);
  if (!antonyms.empty()) definition += fmt::format(" Opposite: {}.", antonyms);
  return definition;
}

}  // namespace

std::optional<DictionaryEntry> parse_wordnet(std::string_view article) {
  DictionaryEntry entry;
  std::string sense;
  const auto finish = [&] {
    if (!sense.empty()) entry.parts.back().text = sense_text(std::exchange(sense, {}), entry.headword);
  };
  for (const std::string_view line : lines_of(article)) {
    const std::string text = tidy_spaces(line);
    if (text.empty()) continue;
    if (entry.headword.empty()) {
      entry.headword = text;
      continue;
    }
    const SenseMark mark = read_mark(text);
    if (mark.length > 0) {
      finish();
      entry.parts.push_back({DictionaryPart::Kind::kDefinition, mark.part_of_speech, mark.number, {}});
      sense = text.substr(mark.length);
    } else if (!sense.empty()) {
      sense += " " + text;
    }
  }
  finish();
  if (entry.parts.empty()) return std::nullopt;
  // A number says nothing where a part of speech has one sense.
  for (std::size_t i = 0; i < entry.parts.size(); ++i) {
    const bool next_opens = i + 1 == entry.parts.size() || !entry.parts[i + 1].part_of_speech.empty();
    if (!entry.parts[i].part_of_speech.empty() && next_opens) entry.parts[i].number.clear();
  }
  return entry;
}

}  // namespace kinglet
