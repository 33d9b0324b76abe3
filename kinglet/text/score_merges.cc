#include "kinglet/text/score_merges.h"

#include <algorithm>
#include <cmath>

#include "kinglet/base/error.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

constexpr std::size_t kLongestMerged = 512;  // bytes; longer entries are found as they stand or not at all

struct ScoredMerge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId result = 0;
};

std::vector<std::uint32_t> ranks_of(const std::vector<double>& scores) {
  std::vector<double> levels = scores;
  std::sort(levels.begin(), levels.end(), std::greater<>());
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  std::vector<std::uint32_t> ranks;
  for (const double score : scores) {
    const auto level = std::lower_bound(levels.begin(), levels.end(), score, std::greater<>());
    ranks.push_back(static_cast<std::uint32_t>(level - levels.begin()));
  }
  return ranks;
}

}  // namespace

MergeTable merges_by_score(const Vocabulary& vocabulary, const std::vector<double>& scores,
                           const std::function<bool(TokenId)>& takes_part, std::string_view where) {
  if (!std::all_of(scores.begin(), scores.end(), [](double score) { return std::isfinite(score); })) {
    throw bad_input(where, "a token's score is not finite");
  }
  std::vector<ScoredMerge> merges;
  for (TokenId id = 0; id < static_cast<TokenId>(scores.size()); ++id) {
    const std::string_view text = vocabulary.text(id);
    if (text.size() > kLongestMerged || !takes_part(id) || vocabulary.find(text) != id) continue;
    for (std::size_t cut = utf8::length_of(text.empty() ? 'a' : text[0]); cut < text.size();
         cut += utf8::length_of(text[cut])) {
      const auto left = vocabulary.find(text.substr(0, cut));
      const auto right = left ? vocabulary.find(text.substr(cut)) : std::nullopt;
      if (right && takes_part(*left) && takes_part(*right)) merges.push_back({*left, *right, id});
    }
  }
  const std::vector<std::uint32_t> ranks = ranks_of(scores);
  MergeTable table(merges.size());
  for (const ScoredMerge& merge : merges) {
    table.set(merge.left, merge.right, {ranks[static_cast<std::size_t>(merge.result)], merge.result});
  }
  return table;
}

}  // namespace kinglet
