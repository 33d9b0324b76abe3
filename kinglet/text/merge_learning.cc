#include "kinglet/text/merge_learning.h"

#include <algorithm>
#include <queue>
#include <unordered_map>
#include <utility>

#include "kinglet/base/interrupt.h"
#include "kinglet/base/progress.h"

namespace kinglet {
namespace {

using TokenPair = std::pair<std::uint32_t, std::uint32_t>;

std::uint64_t key_of(TokenPair pair) { return std::uint64_t{pair.first} << 32 | pair.second; }
TokenPair pair_of(std::uint64_t key) {
  return {static_cast<std::uint32_t>(key >> 32), static_cast<std::uint32_t>(key)};
}

// A pair that waits for its turn, with the words in which it came up. Its count may be out of date.
struct Candidate {
  std::int64_t count = 0;
  std::uint64_t pair = 0;
  std::vector<std::uint32_t> words;  // sorted, each once
};
struct IsWorse {
  bool operator()(const Candidate& a, const Candidate& b) const {
    return a.count != b.count ? a.count < b.count : a.pair > b.pair;
  }
};

class MergeLearner {
 public:
  MergeLearner(std::vector<CountedWord> words, std::vector<std::string> tokens)
      : words_(std::move(words)), tokens_(std::move(tokens)) {
    for (std::uint32_t id = 0; id < tokens_.size(); ++id) ids_.emplace(tokens_[id], id);
    for (std::uint32_t i = 0; i < words_.size(); ++i) {
      const CountedWord& word = words_[i];
      for (std::size_t k = 0; k + 1 < word.symbols.size(); ++k) {
        add({word.symbols[k], word.symbols[k + 1]}, word.count, i);
      }
    }
    queue_new_pairs();
  }

  LearnedMerges run(std::size_t vocabulary_size, std::int64_t minimum_frequency) {
    Progress progress("tokens", vocabulary_size);
    std::size_t shown = 0;
    while (tokens_.size() < vocabulary_size && !queue_.empty()) {
      Candidate best = queue_.top();
      queue_.pop();
      const std::int64_t count = counts_[best.pair];
      if (best.count != count) {
        best.count = count;
        queue_.push(std::move(best));
        continue;
      }
      if (count < 1 || count < minimum_frequency) break;
      merge(best);
      progress.advance(tokens_.size() - std::exchange(shown, tokens_.size()));
      check_interrupt();
    }
    return {std::move(tokens_), merges_in_order()};
  }

 private:
  void add(TokenPair pair, std::int64_t count, std::uint32_t word) {
    const std::uint64_t key = key_of(pair);
    counts_[key] += count;
    if (count <= 0) return;
    std::vector<std::uint32_t>& places = new_pairs_[key];
    if (places.empty() || places.back() != word) places.push_back(word);
  }

  void queue_new_pairs() {
    for (auto& [pair, places] : new_pairs_) {
      const std::int64_t count = counts_[pair];
      if (count > 0) queue_.push({count, pair, std::move(places)});
    }
    new_pairs_.clear();
  }

  // The counts of a merged pair itself are left alone: the pair comes up again only when its text came to be in another
  // way, and then its turn depends on them.
  void merge(const Candidate& best) {
    const TokenPair pair = pair_of(best.pair);
    const std::string text = tokens_[pair.first] + tokens_[pair.second];
    const auto [known, is_new] = ids_.try_emplace(text, static_cast<std::uint32_t>(tokens_.size()));
    if (is_new) tokens_.push_back(text);
    merges_.push_back(pair);
    for (const std::uint32_t word : best.words) merge_in_word(word, pair, known->second);
    queue_new_pairs();
  }

  void merge_in_word(std::uint32_t index, TokenPair pair, std::uint32_t merged) {
    std::vector<std::uint32_t>& symbols = words_[index].symbols;
    const std::int64_t count = words_[index].count;
    std::size_t to = 0;  // symbols[0, to) are done
    for (std::size_t from = 0; from < symbols.size(); ++from) {
      const bool found = from + 1 < symbols.size() && symbols[from] == pair.first && symbols[from + 1] == pair.second;
      if (!found) {
        symbols[to++] = symbols[from];
        continue;
      }
      if (to > 0) {
        add({symbols[to - 1], pair.first}, -count, index);
        add({symbols[to - 1], merged}, count, index);
      }
      if (from + 2 < symbols.size()) {
        add({pair.second, symbols[from + 2]}, -count, index);
        add({merged, symbols[from + 2]}, count, index);
      }
      symbols[to++] = merged;
      ++from;
    }
    symbols.resize(to);
  }

  // A pair that was merged more than once has its last place.
  std::vector<TokenPair> merges_in_order() const {
    std::unordered_map<std::uint64_t, std::size_t> last;
    for (std::size_t i = 0; i < merges_.size(); ++i) last[key_of(merges_[i])] = i;
    std::vector<TokenPair> result;
    for (std::size_t i = 0; i < merges_.size(); ++i) {
      if (last[key_of(merges_[i])] == i) result.push_back(merges_[i]);
    }
    return result;
  }

  std::vector<CountedWord> words_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, std::uint32_t> ids_;
  std::unordered_map<std::uint64_t, std::int64_t> counts_;
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> new_pairs_;  // since the queue was filled
  std::priority_queue<Candidate, std::vector<Candidate>, IsWorse> queue_;
  std::vector<TokenPair> merges_;
};

}  // namespace

LearnedMerges learn_merges(std::vector<CountedWord> words, std::vector<std::string> tokens, std::size_t vocabulary_size,
                           std::int64_t minimum_frequency) {
  return MergeLearner(std::move(words), std::move(tokens)).run(vocabulary_size, minimum_frequency);
}

}  // namespace kinglet
