// A decoder on this machine as a scorer of responses.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/cli/scorer_options.h"
#include "kinglet/models/decoder/decoder.h"
#include "kinglet/text/chat_template.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet::cli {

// Prompt and response are encoded apart and their ids joined, so that no token crosses the border and no text is
// searched for; a response counts the same tokens with and without its instruction. A response that does not fit is cut
// at the same token in both passes and marked.
class LocalScorer final : public star_agents::Scorer {
 public:
  explicit LocalScorer(const ScorerOptions& options);

  std::vector<star_agents::Likelihoods> score(std::span<const star_agents::ScoreItem> items) override;
  std::string name() const override { return name_; }

 private:
  struct Passes {  // of one item
    std::vector<TokenId> with, without;
    std::size_t response = 0;        // tokens scored
    std::size_t first_unscored = 0;  // tokens at the start of the response that "none" leaves without a context
    bool truncated = false;
    star_agents::ScoreStatus status = star_agents::ScoreStatus::kScored;
    std::int64_t bytes = 0;
  };
  Passes passes_of(const star_agents::ScoreItem& item) const;
  std::vector<TokenId> prompt_ids(const std::vector<ChatMessage>& context) const;
  std::vector<TokenId> unconditional_ids() const;

  ScorerOptions options_;
  std::shared_ptr<Decoder> decoder_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<ChatTemplate> template_;
  std::size_t window_;
  std::vector<TokenId> unconditional_;
  std::string name_;
};

}  // namespace kinglet::cli
