#include "kinglet/cli/torch/local_scorer.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/models/decoder/scoring.h"

namespace kinglet::cli {
namespace {

using star_agents::Likelihoods;
using star_agents::ScoreItem;
using star_agents::ScoreStatus;

Json json_of(const std::vector<ChatMessage>& messages) {
  Json json = Json::array();
  for (const ChatMessage& message : messages) json.push_back({{"role", message.role}, {"content", message.content}});
  return json;
}

}  // namespace

LocalScorer::LocalScorer(const ScorerOptions& options)
    : options_(options),
      decoder_(load_decoder(options.model, WeightType::kFloat32, LoadPurpose::kUse)),
      tokenizer_(Tokenizer::load(options.model)),
      template_(options.plain ? std::nullopt : ChatTemplate::load(options.model)),
      window_(std::min(options.window, static_cast<std::size_t>(decoder_->config().max_positions))),
      unconditional_(unconditional_ids()),
      name_(fmt::format("local {} window {} unconditional {} {}", options.model, window_, options.unconditional,
                        template_ ? "chat template" : "plain")) {}

std::vector<TokenId> LocalScorer::prompt_ids(const std::vector<ChatMessage>& context) const {
  if (template_) {
    ChatOptions chat;
    chat.add_generation_prompt = true;
    return tokenizer_->encode(template_->render(json_of(context), chat), false);  // it brings its special tokens
  }
  std::string text;
  for (const ChatMessage& message : context) text += message.content + "\n";
  std::vector<TokenId> ids = tokenizer_->encode(text, false);
  const auto begin = tokenizer_->bos() ? tokenizer_->bos() : tokenizer_->eos();
  if (begin && !options_.plain) ids.insert(ids.begin(), *begin);
  return ids;
}

std::vector<TokenId> LocalScorer::unconditional_ids() const {
  if (options_.unconditional == "none") return {};
  if (options_.unconditional == "template" && template_) return prompt_ids({{"user", ""}});
  const auto begin = tokenizer_->bos() ? tokenizer_->bos() : tokenizer_->eos();
  if (!begin) {
    throw bad_input(options_.model, "the tokenizer names neither BOS nor EOS to stand before a response",
                    "use unconditional = \"none\"");
  }
  return {*begin};
}

LocalScorer::Passes LocalScorer::passes_of(const ScoreItem& item) const {
  Passes passes;
  const std::vector<TokenId> prompt = prompt_ids(item.context);
  std::vector<TokenId> response = tokenizer_->encode(item.response, false);
  passes.bytes = static_cast<std::int64_t>(item.response.size());
  if (response.empty()) passes.status = ScoreStatus::kEmpty;
  // The window holds what is read: the last token is only predicted.
  const std::size_t before = std::max(prompt.size(), unconditional_.size());
  const std::size_t room = before > window_ ? 0 : window_ + 1 - before;
  if (room == 0 || prompt.size() >= window_) passes.status = ScoreStatus::kPromptTooLong;
  if (passes.status != ScoreStatus::kScored) return passes;
  if (response.size() > room) {
    response.resize(room);
    passes.truncated = true;
    passes.bytes = static_cast<std::int64_t>(tokenizer_->decode(response).size());
  }
  passes.response = response.size();
  passes.first_unscored = unconditional_.empty() ? 1 : 0;
  passes.with = prompt;
  passes.without = unconditional_;
  passes.with.insert(passes.with.end(), response.begin(), response.end());
  passes.without.insert(passes.without.end(), response.begin(), response.end());
  return passes;
}

std::vector<Likelihoods> LocalScorer::score(std::span<const ScoreItem> items) {
  std::vector<Passes> all;
  std::vector<std::vector<TokenId>> texts;
  for (const ScoreItem& item : items) {
    all.push_back(passes_of(item));
    if (all.back().status != ScoreStatus::kScored) continue;
    texts.push_back(all.back().with);
    texts.push_back(all.back().without);
  }
  // Texts of about one length side by side: little padding. Alone, each has the same bits whatever stands beside it.
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (options_.batched) {
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return texts[a].size() < texts[b].size(); });
  }
  std::vector<std::vector<double>> scores(texts.size());
  const std::size_t together = options_.batched ? 256 : 1;
  for (std::size_t begin = 0; begin < order.size(); begin += together) {
    const std::size_t end = std::min(order.size(), begin + together);
    std::vector<std::vector<TokenId>> some;
    for (std::size_t k = begin; k < end; ++k) some.push_back(texts[order[k]]);
    auto results = kinglet::score(*decoder_, some);
    for (std::size_t k = begin; k < end; ++k) scores[order[k]] = std::move(results[k - begin]);
  }
  std::vector<Likelihoods> result;
  std::size_t at = 0;
  for (const Passes& passes : all) {
    if (passes.status != ScoreStatus::kScored) {
      result.push_back({.status = passes.status, .bytes = passes.bytes});
      continue;
    }
    // The same tokens in both passes: without a context the first one has no probability.
    const std::size_t count = passes.response - passes.first_unscored;
    const auto last = [&](const std::vector<double>& values) {
      return std::span(values).last(std::min(count, values.size()));
    };
    result.push_back(star_agents::likelihoods_of(last(scores[at]), last(scores[at + 1]), passes.bytes));
    result.back().truncated = passes.truncated;
    at += 2;
  }
  return result;
}

}  // namespace kinglet::cli

extern "C" __attribute__((visibility("default"))) kinglet::star_agents::Scorer* kinglet_make_scorer(
    const kinglet::cli::ScorerOptions& options) {
  return new kinglet::cli::LocalScorer(options);
}
