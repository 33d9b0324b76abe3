#include "kinglet/text/vocabulary.h"

#include <algorithm>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet {

Vocabulary::Vocabulary(std::size_t entries, std::string_view where)
    : most_(std::min(kMostIds, kMostHoles + 8 * static_cast<std::int64_t>(std::min<std::size_t>(entries, kMostIds)))),
      where_(where) {
  ids_.reserve(std::min<std::size_t>(entries, kMostIds));
}

void Vocabulary::add(std::string text, std::int64_t id) {
  if (id < 0 || id >= most_) {
    throw bad_input(where_, fmt::format("the id {} of token '{}' is out of range", id, text));
  }
  const auto at = static_cast<std::size_t>(id);
  if (at >= texts_.size()) {
    texts_.resize(at + 1);
    present_.resize(at + 1);
  }
  const auto known = ids_.find(text);
  std::string_view stored;
  if (known != ids_.end()) {
    stored = known->first;
    known->second = static_cast<TokenId>(id);
  } else {
    stored = storage_.emplace_back(std::move(text));
    ids_.emplace(stored, static_cast<TokenId>(id));
  }
  texts_[at] = stored;
  present_[at] = true;
}

std::optional<TokenId> Vocabulary::find(std::string_view text) const {
  const auto found = ids_.find(text);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

std::string_view Vocabulary::text(TokenId id) const {
  return id >= 0 && id < size() ? texts_[static_cast<std::size_t>(id)] : std::string_view();
}

}  // namespace kinglet
