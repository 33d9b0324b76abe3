#include "kinglet/methods/star_agents/answer_check.h"

#include <algorithm>
#include <sstream>

#include "kinglet/base/ascii.h"
#include "kinglet/text/unicode.h"
#include "kinglet/text/utf8.h"

namespace kinglet::star_agents {
namespace {

constexpr std::size_t kRefusalWords = 80;  // a longer answer with "sorry" in it says something besides

bool has_label(std::string_view text) {
  return text.find(kOriginalLabel) != std::string_view::npos || text.find(kRewrittenLabel) != std::string_view::npos;
}

bool has_word(std::string_view text) {
  bool found = false;
  utf8::for_each_character(text, [&](char32_t code, std::size_t, std::size_t) { found |= is_word(code); });
  return found;
}

std::size_t count_words(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::size_t count = 0;
  for (std::string word; stream >> word;) ++count;
  return count;
}

bool is_refusal(std::string_view answer) {
  if (count_words(answer) >= kRefusalWords) return false;
  const std::string lower = lowercase(answer);
  for (const std::string_view sign :
       {"sorry", "as an ai", "i cannot assist", "i can't assist", "i cannot help with", "i can't help with"}) {
    if (lower.find(sign) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

std::string problem_of_answer(std::string_view answer, std::string_view instruction) {
  const std::string valid = utf8::replace_invalid(ascii::trimmed(answer));
  if (valid.empty()) return "empty";
  if (valid == ascii::trimmed(instruction)) return "repeats_instruction";
  if (has_label(valid)) return "template_label";
  if (is_refusal(valid)) return "refusal";
  return {};
}

std::string problem_of_rewriting(std::string_view rewritten, std::string_view original) {
  const std::string valid = utf8::replace_invalid(ascii::trimmed(rewritten));
  if (valid.empty()) return "empty";
  if (valid == ascii::trimmed(original)) return "unchanged";
  if (has_label(valid)) return "template_label";
  if (!has_word(valid)) return "no_words";
  return {};
}

}  // namespace kinglet::star_agents
