#include "kinglet/text/dictionary_entry.h"

#include <array>

#include <fmt/format.h>

#include "kinglet/base/hash.h"

namespace kinglet {
namespace {

using Kind = DictionaryPart::Kind;

std::string label(const DictionaryEntry& entry, const DictionaryPart& part) {
  return part.part_of_speech.empty() ? entry.headword : fmt::format("{} ({})", entry.headword, part.part_of_speech);
}

}  // namespace

std::string entry_text(const DictionaryEntry& entry) {
  std::string text;
  for (const DictionaryPart& part : entry.parts) {
    const bool opens = part.kind == Kind::kDefinition && (text.empty() || !part.part_of_speech.empty());
    if (!text.empty()) text += "\n";
    if (opens) text += label(entry, part) + (part.number.empty() ? ": " : "\n");
    if (!part.number.empty()) text += part.number + (part.number.ends_with(')') ? " " : ". ");
    text += part.text;
  }
  return text;
}

QuestionAndAnswer entry_question(const DictionaryEntry& entry) {
  constexpr std::size_t kMostSenses = 3;
  const std::string& pos = entry.parts.front().part_of_speech;
  const std::string kind = pos.empty() ? "word" : pos;
  const char* const article =
      !pos.empty() && std::string_view("aeiou").find(pos[0]) != std::string_view::npos ? "an" : "a";
  const std::array<std::string, 4> questions = {
      fmt::format("What does the {} \"{}\" mean?", kind, entry.headword),
      fmt::format("Define the {} \"{}\".", kind, entry.headword),
      fmt::format("Explain the meaning of the {} \"{}\".", kind, entry.headword),
      fmt::format("What is the meaning of \"{}\"{}?", entry.headword,
                  pos.empty() ? "" : fmt::format(" as {} {}", article, pos)),
  };
  std::vector<const DictionaryPart*> senses;
  for (const DictionaryPart& part : entry.parts) {
    if (part.kind != Kind::kDefinition) continue;
    if (!senses.empty() && !part.part_of_speech.empty()) break;
    senses.push_back(&part);
    if (senses.size() == kMostSenses) break;
  }
  std::string answer;
  for (std::size_t i = 0; i < senses.size(); ++i) {
    if (i > 0) answer += "\n";
    answer += senses.size() == 1 ? senses[i]->text : fmt::format("{}. {}", i + 1, senses[i]->text);
  }
  return {questions[xxh3(as_bytes(entry.headword + pos)) % questions.size()], std::move(answer)};
}

}  // namespace kinglet
