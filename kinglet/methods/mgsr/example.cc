#include "kinglet/methods/mgsr/example.h"

#include <algorithm>

#include "kinglet/kernels/cross_entropy.h"
#include "kinglet/nn/torch.h"

namespace kinglet::mgsr {

LanguageBatch batch_of(const std::vector<Example>& examples, TokenId padding) {
  std::size_t width = 1;
  for (const Example& example : examples) {
    TORCH_CHECK(!example.prompt.empty(), "an example needs a prompt of one token at least");
    // The last token of a response is predicted and not read; without a response all of the prompt is read.
    const std::size_t unread = example.response.empty() ? 0 : 1;
    width = std::max(width, example.prompt.size() + example.response.size() - unread);
  }
  const auto rows = static_cast<std::int64_t>(examples.size()), columns = static_cast<std::int64_t>(width);
  LanguageBatch batch{
      at::full({rows, columns}, padding, at::kLong), at::full({rows, columns}, -100, at::kLong), {}, {}};
  for (std::size_t row = 0; row < examples.size(); ++row) {
    std::int64_t* const tokens = batch.tokens.data_ptr<std::int64_t>() + row * width;
    std::int64_t* const labels = batch.labels.data_ptr<std::int64_t>() + row * width;
    const Example& example = examples[row];
    std::copy(example.prompt.begin(), example.prompt.end(), tokens);
    const std::size_t first = example.prompt.size() - 1;
    for (std::size_t i = 0; i < example.response.size(); ++i) {
      labels[first + i] = example.response[i];
      if (i + 1 < example.response.size()) tokens[first + i + 1] = example.response[i];
    }
  }
  return batch;
}

ResponseRows response_rows(const std::vector<Example>& examples, std::int64_t width) {
  ResponseRows rows;
  rows.starts.push_back(0);
  for (std::size_t row = 0; row < examples.size(); ++row) {
    const auto first =
        static_cast<std::int64_t>(row) * width + static_cast<std::int64_t>(examples[row].prompt.size()) - 1;
    for (std::size_t i = 0; i < examples[row].response.size(); ++i) {
      rows.places.push_back(first + static_cast<std::int64_t>(i));
    }
    rows.starts.push_back(static_cast<std::int64_t>(rows.places.size()));
  }
  return rows;
}

std::vector<std::int64_t> neighbour_rows(const ResponseRows& rows, const std::vector<std::vector<TokenSpan>>& spans) {
  std::vector<std::int64_t> firsts;
  for (std::size_t example = 0; example < spans.size(); ++example) {
    const std::int64_t begin = rows.starts[example];
    const auto length = static_cast<std::size_t>(rows.starts[example + 1] - begin);
    for (const TokenSpan& span : spans[example]) {
      for (std::size_t i = span.begin; i + 1 < std::min(span.end, length); ++i) {
        firsts.push_back(begin + static_cast<std::int64_t>(i));
      }
    }
  }
  std::sort(firsts.begin(), firsts.end());
  firsts.erase(std::unique(firsts.begin(), firsts.end()), firsts.end());
  return firsts;
}

}  // namespace kinglet::mgsr
