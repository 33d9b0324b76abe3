// Scores that a run has computed already, kept in a file: a run that goes on scores nothing twice.
//
// scores.jsonl: {"key": SHA-256 of scorer, context and response, "status", "cond", "unc", "tokens", "bytes",
// "truncated"} a line. A last line without an end, as a crash leaves it, is passed over.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "kinglet/base/append_file.h"
#include "kinglet/methods/star_agents/scorer.h"

namespace kinglet::star_agents {

// Content, not place: neither another order of the seeds nor a torn line misplaces a score.
std::string score_key(const std::string& scorer, const ScoreItem& item);

class ScoreCache {
 public:
  // Created when missing. Raises Error (bad input) with the line for a file that is damaged before its end.
  explicit ScoreCache(const std::filesystem::path& path);

  const Likelihoods* find(const std::string& key) const;
  void add(const std::string& key, const Likelihoods& likelihoods);  // those of kFailed are not kept
  std::size_t size() const { return scores_.size(); }

 private:
  std::unordered_map<std::string, Likelihoods> scores_;
  std::unique_ptr<AppendFile> file_;
};

// Asks `scorer` for what the cache lacks; equal items once.
std::vector<Likelihoods> score_cached(Scorer& scorer, ScoreCache& cache, std::span<const ScoreItem> items);

}  // namespace kinglet::star_agents
