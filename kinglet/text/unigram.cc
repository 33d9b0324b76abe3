#include "kinglet/text/unigram.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

constexpr double kUnknownPenalty = 10.0;  // below the least likely entry, as in SentencePiece

}  // namespace

Unigram::Unigram(std::vector<std::pair<std::string, double>> scores, std::optional<TokenId> unknown, bool byte_fallback,
                 std::string_view where)
    : vocabulary_(scores.size(), where), unknown_(unknown), byte_fallback_(byte_fallback), where_(where) {
  if (unknown && static_cast<std::size_t>(*unknown) >= scores.size()) {
    throw bad_input(where, "unk_id is not in the vocabulary");
  }
  double least = scores.empty() ? 0.0 : scores.front().second;
  ends_.push_back(-1);
  for (std::size_t id = 0; id < scores.size(); ++id) {
    auto& [text, score] = scores[id];
    if (!std::isfinite(score)) throw bad_input(where, fmt::format("the score of '{}' is not finite", text));
    least = std::min(least, score);
    scores_.push_back(score);
    insert(text, static_cast<TokenId>(id));
    vocabulary_.add(std::move(text), static_cast<std::int64_t>(id));
  }
  unknown_score_ = least - kUnknownPenalty;
}

void Unigram::insert(std::string_view text, TokenId id) {
  std::uint32_t node = 0;
  for (const char byte : text) {
    const auto [found, is_new] = next_.try_emplace(std::uint64_t{node} << 8 | static_cast<unsigned char>(byte),
                                                   static_cast<std::uint32_t>(ends_.size()));
    node = found->second;
    if (is_new) ends_.push_back(-1);
  }
  if (node != 0) ends_[node] = id;
}

void Unigram::encode(std::string_view piece, std::vector<TokenId>& ids) const {
  std::vector<Step> best(piece.size() + 1);  // best[i]: of the ways to cover the first i bytes
  best[0].reached = true;
  const auto offer = [&](std::size_t begin, std::size_t end, double score, TokenId id) {
    const double total = best[begin].score + score;
    if (!best[end].reached || total > best[end].score) best[end] = {total, begin, id, true};
  };
  for (std::size_t begin = 0; begin < piece.size();) {
    const std::size_t length = utf8::length_of(piece[begin]);
    bool single = false;  // an entry is exactly this character
    std::uint32_t node = 0;
    for (std::size_t at = begin; at < piece.size(); ++at) {
      const auto next = next_.find(std::uint64_t{node} << 8 | static_cast<unsigned char>(piece[at]));
      if (next == next_.end()) break;
      node = next->second;
      if (ends_[node] < 0) continue;
      offer(begin, at + 1, scores_[static_cast<std::size_t>(ends_[node])], ends_[node]);
      single = single || at + 1 - begin == length;
    }
    if (!single) offer(begin, begin + length, unknown_score_, -1);
    begin += length;
  }
  std::vector<std::size_t> ends;
  for (std::size_t end = piece.size(); end > 0; end = best[end].begin) ends.push_back(end);
  std::reverse(ends.begin(), ends.end());
  const auto is_unknown = [&](std::size_t end) { return best[end].id < 0 || (unknown_ && best[end].id == *unknown_); };
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const std::size_t begin = best[ends[i]].begin;
    const bool unknown = is_unknown(ends[i]);
    while (unknown && i + 1 < ends.size() && is_unknown(ends[i + 1])) ++i;  // neighbours that are unknown become one
    append(piece.substr(begin, ends[i] - begin), unknown ? std::nullopt : std::optional(best[ends[i]].id), ids);
  }
}

void Unigram::append(std::string_view text, std::optional<TokenId> id, std::vector<TokenId>& ids) const {
  if (id) {  // by its text: of equal entries the last one counts
    ids.push_back(vocabulary_.find(text).value_or(*id));
    return;
  }
  if (const auto whole = vocabulary_.find(text)) {  // several unknown characters may be an entry together
    ids.push_back(*whole);
    return;
  }
  if (byte_fallback_) {
    std::vector<TokenId> bytes;
    for (const char byte : text) {
      const auto found = vocabulary_.find(fmt::format("<0x{:02X}>", static_cast<unsigned char>(byte)));
      if (!found) break;
      bytes.push_back(*found);
    }
    if (bytes.size() == text.size()) {
      ids.insert(ids.end(), bytes.begin(), bytes.end());
      return;
    }
  }
  if (!unknown_)
    throw bad_input(where_, fmt::format("'{}' is not in the vocabulary, which has no unknown token", text));
  ids.push_back(*unknown_);
}

}  // namespace kinglet
