#include "kinglet/train/language_data.h"

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/nn/torch.h"

namespace kinglet {

TokenWindows::TokenWindows(std::vector<std::int32_t> tokens, std::int64_t batch, std::int64_t window,
                           std::uint64_t seed)
    : tokens_(std::move(tokens)), batch_(batch), window_(window), seed_(seed) {
  TORCH_CHECK(batch > 0 && window > 0, "batch and window must be positive");
  windows_ = (static_cast<std::int64_t>(tokens_.size()) - 1) / window;
  if (windows_ < 1) {
    throw bad_input("data",
                    fmt::format("{} tokens are fewer than one window of {} and its label", tokens_.size(), window),
                    "give more text, or shorten the window");
  }
  fingerprint_ = fmt::format("{:016x} batch {} window {} seed {}", xxh3(std::as_bytes(std::span(tokens_))), batch_,
                             window_, seed_);
}

LanguageBatch TokenWindows::batch(std::int64_t number) const {
  LanguageBatch result{at::empty({batch_, window_}, at::kLong), at::empty({batch_, window_}, at::kLong), {}, {}};
  auto* const tokens = result.tokens.data_ptr<std::int64_t>();
  auto* const labels = result.labels.data_ptr<std::int64_t>();
  for (std::int64_t row = 0; row < batch_; ++row) {
    const std::int64_t place = number * batch_ + row, epoch = place / windows_;
    const Permutation order(static_cast<std::uint64_t>(windows_), seed_ + static_cast<std::uint64_t>(epoch));
    const auto begin = static_cast<std::size_t>(order(static_cast<std::uint64_t>(place % windows_))) *
                       static_cast<std::size_t>(window_);
    for (std::int64_t i = 0; i < window_; ++i) {
      tokens[row * window_ + i] = tokens_[begin + static_cast<std::size_t>(i)];
      labels[row * window_ + i] = tokens_[begin + static_cast<std::size_t>(i) + 1];
    }
  }
  return result;
}

}  // namespace kinglet
