#include "kinglet/text/stop_strings.h"

#include <algorithm>
#include <utility>

#include "kinglet/base/error.h"

namespace kinglet {

StopStrings::StopStrings(std::vector<std::string> texts) : texts_(std::move(texts)) {
  for (const std::string& text : texts_) {
    if (text.empty()) throw bad_input("stop", "an empty text would end everything at once");
  }
}

std::string StopStrings::push(std::string_view piece) {
  if (found_) return {};
  held_ += piece;
  std::size_t end = std::string::npos;
  for (const std::string& text : texts_) end = std::min(end, held_.find(text));
  found_ = end != std::string::npos;
  if (!found_) end = first_possible_begin();
  std::string shown = held_.substr(0, end);
  held_.erase(0, end);
  return shown;
}

std::string StopStrings::finish() { return found_ ? std::string() : std::exchange(held_, {}); }

// Where the rest of `held_` is the beginning of a stop text; its end when nothing is.
std::size_t StopStrings::first_possible_begin() const {
  const std::string_view held = held_;
  std::size_t first = held.size();
  for (const std::string& text : texts_) {
    std::size_t begin = held.size() - std::min(held.size(), text.size() - 1);
    while (begin < first && !std::string_view(text).starts_with(held.substr(begin))) ++begin;
    first = std::min(first, begin);
  }
  return first;
}

}  // namespace kinglet
