#include "kinglet/models/decoder/scoring.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/kernels/cross_entropy.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

// Log-probabilities of labels [rows] from hidden [rows, dim]; 0 for ignored labels. Some rows at a time: the logits of
// all would be far larger than everything else.
std::vector<float> label_log_probabilities(const Decoder& decoder, const at::Tensor& hidden,
                                           std::span<const std::int64_t> labels) {
  constexpr std::int64_t kLogits = std::int64_t{1} << 24;  // at a time
  const std::int64_t rows = hidden.size(0), vocabulary = decoder.config().vocabulary_size;
  const std::int64_t piece = std::clamp<std::int64_t>(kLogits / vocabulary, 1, 1024);
  std::vector<float> result(labels.size());
  for (std::int64_t begin = 0; begin < rows; begin += piece) {
    check_interrupt();
    const std::int64_t end = std::min(rows, begin + piece);
    at::Tensor logits = decoder.logits(hidden.slice(0, begin, end)).contiguous();
    cross_entropy_rows(logits.data_ptr<float>(), labels.data() + begin, end - begin, vocabulary, false,
                       result.data() + begin);
  }
  for (float& value : result) value = -value;
  return result;
}

// Texts side by side, those that are shorter with padding on their right, which nothing sees.
void score_batch(Decoder& decoder, std::span<const std::vector<TokenId>> texts,
                 std::vector<std::vector<double>>& results) {
  std::size_t longest = 0;
  for (const auto& text : texts) longest = std::max(longest, text.size());
  if (longest < 2) {
    for (std::size_t i = 0; i < texts.size(); ++i) results.emplace_back();
    return;
  }
  const std::size_t columns = longest - 1;  // the last token predicts nothing that is asked for
  at::Tensor tokens =
      at::zeros({static_cast<std::int64_t>(texts.size()), static_cast<std::int64_t>(columns)}, at::kLong);
  std::vector<std::int64_t> labels(texts.size() * columns, kIgnoredLabel);
  for (std::size_t row = 0; row < texts.size(); ++row) {
    const auto& text = texts[row];
    if (text.size() < 2) continue;
    std::copy(text.begin(), text.end() - 1, tokens.data_ptr<std::int64_t>() + row * columns);
    std::copy(text.begin() + 1, text.end(), labels.begin() + static_cast<std::ptrdiff_t>(row * columns));
  }
  const at::Tensor hidden = decoder.forward({tokens, {}, {}, nullptr});
  const std::vector<float> values = label_log_probabilities(decoder, hidden.flatten(0, 1), labels);
  for (std::size_t row = 0; row < texts.size(); ++row) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * columns);
    const std::size_t count = texts[row].empty() ? 0 : texts[row].size() - 1;
    results.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(count));
  }
}

void check_texts(const DecoderConfig& config, const std::vector<std::vector<TokenId>>& texts) {
  for (const auto& text : texts) {
    if (text.size() > static_cast<std::size_t>(config.max_positions) + 1) {
      throw bad_input(
          "text",
          fmt::format("its {} tokens are more than the model's {} positions", text.size(), config.max_positions),
          "shorten it");
    }
    for (const TokenId token : text) {  // the last one is looked up as a label only
      if (token >= 0 && token < config.vocabulary_size) continue;
      throw bad_input("text",
                      fmt::format("token id {} is outside the model's {} embeddings", token, config.vocabulary_size),
                      "use the tokenizer that belongs to the model");
    }
  }
}

void check_settings(const PerplexitySettings& settings, std::int64_t positions) {
  if (settings.window < 2 || settings.window > positions) {
    throw bad_input("window",
                    fmt::format("{} is not between 2 and the model's {} positions", settings.window, positions));
  }
  if (settings.stride < 1 || settings.stride >= settings.window) {
    throw bad_input("stride", fmt::format("{} is not between 1 and the window less one", settings.stride));
  }
}

}  // namespace

std::vector<std::vector<double>> score(Decoder& decoder, const std::vector<std::vector<TokenId>>& texts) {
  constexpr std::size_t kTokens = 4096;  // of a batch, with padding
  const at::NoGradGuard no_grad;
  check_texts(decoder.config(), texts);
  std::vector<std::vector<double>> results;
  for (std::size_t begin = 0; begin < texts.size();) {
    check_interrupt();
    std::size_t end = begin, longest = 0;
    while (end < texts.size()) {
      const std::size_t wider = std::max(longest, texts[end].size());
      if (end > begin && wider * (end + 1 - begin) > kTokens) break;
      longest = wider;
      ++end;
    }
    score_batch(decoder, std::span(texts).subspan(begin, end - begin), results);
    begin = end;
  }
  return results;
}

Perplexity perplexity(Decoder& decoder, std::span<const TokenId> text, const PerplexitySettings& settings,
                      const std::function<void(std::int64_t)>& on_progress) {
  check_settings(settings, decoder.config().max_positions);
  const std::size_t extra = settings.begin ? 1 : 0;
  if (text.size() + extra < 2)
    throw bad_input("text", "it has no token with another one before it", "give a longer one");
  const at::NoGradGuard no_grad;
  const std::size_t room = static_cast<std::size_t>(settings.window) - extra;
  Perplexity result;
  std::size_t scored = 1 - extra;  // tokens of the text that are done; without BOS nothing stands before the first
  for (std::size_t begin = 0; scored < text.size(); begin += static_cast<std::size_t>(settings.stride)) {
    const std::size_t end = std::min(text.size(), begin + room);
    std::vector<std::vector<TokenId>> window(1);
    if (settings.begin) window[0].push_back(*settings.begin);
    window[0].insert(window[0].end(), text.begin() + static_cast<std::ptrdiff_t>(begin),
                     text.begin() + static_cast<std::ptrdiff_t>(end));
    check_texts(decoder.config(), window);
    const std::vector<std::int64_t> labels(window[0].begin() + 1, window[0].end());
    const at::Tensor tokens = at::tensor(std::vector<std::int64_t>(window[0].begin(), window[0].end() - 1), at::kLong);
    const at::Tensor hidden = decoder.forward({tokens.unsqueeze(0), {}, {}, nullptr}).squeeze(0);
    const std::size_t known = scored - begin + extra - 1;  // labels that an earlier window scored
    const auto values = label_log_probabilities(decoder, hidden.slice(0, static_cast<std::int64_t>(known)),
                                                std::span(labels).subspan(known));
    for (const float value : values) result.log_likelihood += static_cast<double>(value);
    if (on_progress) on_progress(static_cast<std::int64_t>(values.size()));
    result.tokens += static_cast<std::int64_t>(values.size());
    ++result.windows;
    scored = end;
  }
  result.value = std::exp(-result.log_likelihood / static_cast<double>(result.tokens));
  return result;
}

}  // namespace kinglet
