#include "kinglet/text/added_tokens.h"

#include <algorithm>

#include "kinglet/text/unicode.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

// The last character of a valid text.
utf8::Character last_character(std::string_view text) {
  std::size_t at = text.size();
  while (at > 0 && (static_cast<unsigned char>(text[at - 1]) & 0xC0) == 0x80) --at;
  return utf8::first_character(text.substr(at > 0 ? at - 1 : 0));
}

std::size_t blanks_before(std::string_view text) {
  std::size_t size = text.size();
  while (size > 0) {
    const utf8::Character last = last_character(text.substr(0, size));
    if (!is_whitespace(last.code)) break;
    size -= last.length;
  }
  return text.size() - size;
}

std::size_t blanks_after(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const utf8::Character first = utf8::first_character(text.substr(at));
    if (!is_whitespace(first.code)) break;
    at += first.length;
  }
  return at;
}

bool touches_word(std::string_view before, std::string_view after) {
  return (!before.empty() && is_word(last_character(before).code)) ||
         (!after.empty() && is_word(utf8::first_character(after).code));
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  first_.fill(kNone);
  for (std::uint32_t i = 0; i < tokens_.size(); ++i) insert(i);
}

void AddedTokenMatcher::insert(std::uint32_t token) {
  const std::string& content = tokens_[token].content;
  if (content.empty()) return;
  const auto new_node = [this] {
    ends_.push_back(kNone);
    return static_cast<std::uint32_t>(ends_.size() - 1);
  };
  std::uint32_t& root = first_[static_cast<unsigned char>(content[0])];
  if (root == kNone) root = new_node();
  std::uint32_t node = root;
  for (std::size_t i = 1; i < content.size(); ++i) {
    const std::uint64_t key = std::uint64_t{node} << 8 | static_cast<unsigned char>(content[i]);
    const auto [found, is_new] = next_.try_emplace(key, kNone);
    if (is_new) found->second = new_node();
    node = found->second;
  }
  if (ends_[node] == kNone) ends_[node] = token;
}

std::optional<AddedTokenMatcher::Found> AddedTokenMatcher::find(std::string_view text, std::size_t from) const {
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    std::uint32_t node = first_[static_cast<unsigned char>(text[begin])];
    std::uint32_t token = kNone;
    std::size_t end = begin;
    for (std::size_t at = begin + 1; node != kNone; ++at) {
      if (ends_[node] != kNone) {
        token = ends_[node];
        end = at;
      }
      if (at >= text.size()) break;
      const auto next = next_.find(std::uint64_t{node} << 8 | static_cast<unsigned char>(text[at]));
      node = next == next_.end() ? kNone : next->second;
    }
    if (token != kNone) return Found{begin, end, &tokens_[token]};
  }
  return std::nullopt;
}

void AddedTokenMatcher::split(std::string_view text, std::vector<TextSection>& sections) const {
  sections.clear();
  std::size_t done = 0;  // bytes that sections cover
  for (auto found = tokens_.empty() ? std::nullopt : find(text, 0); found; found = find(text, found->end)) {
    const AddedToken& token = *found->token;
    std::size_t begin = found->begin;
    std::size_t end = found->end;
    if (token.single_word && touches_word(text.substr(0, begin), text.substr(end))) continue;
    if (token.strip_left) begin = std::max(begin - blanks_before(text.substr(0, begin)), done);
    if (token.strip_right) end += blanks_after(text.substr(end));
    if (done < begin) sections.push_back({text.substr(done, begin - done), std::nullopt});
    if (begin < end) sections.push_back({text.substr(begin, end - begin), token.id});
    done = end;
  }
  if (done < text.size()) sections.push_back({text.substr(done), std::nullopt});
}

}  // namespace kinglet
