#include "kinglet/text/continued_text.h"

#include <algorithm>

namespace kinglet {

ContinuedText::ContinuedText(const Tokenizer& tokenizer, const std::vector<TokenId>& prompt) : stream_(tokenizer) {
  std::size_t shown = 0;
  for (const TokenId token : prompt) shown += stream_.push(token).size();
  held_ = tokenizer.decode(prompt).substr(shown);
}

std::string ContinuedText::without_prompt(std::string text) {
  std::size_t same = 0;
  while (same < std::min(held_.size(), text.size()) && text[same] == held_[same]) ++same;
  text.erase(0, same);
  held_ = text.empty() ? held_.substr(same) : std::string();
  return text;
}

}  // namespace kinglet
