// What a language model is trained on: batches that are a pure function of their number.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kinglet/base/permutation.h"

namespace kinglet {

struct LanguageBatch {
  at::Tensor tokens;     // [batch, tokens] int64
  at::Tensor labels;     // [batch, tokens] int64: the token that follows, -100 where nothing is learnt
  at::Tensor positions;  // as DecoderInput, or undefined
  at::Tensor first_key;  // as DecoderInput, or undefined
};

class LanguageData {
 public:
  virtual ~LanguageData() = default;
  // Batch `number` of the endless, shuffled series; the same whenever it is asked for.
  virtual LanguageBatch batch(std::int64_t number) const = 0;
  // Changes when the data, its order or its shape does: a run may only go on with equal text.
  virtual std::string fingerprint() const = 0;
};

// Windows of a stream of tokens, each epoch in another order. Neighbouring windows do not overlap but in their first
// label; what is left at the end is not used.
class TokenWindows : public LanguageData {
 public:
  // Raises Error (bad input) when the stream is shorter than one window.
  TokenWindows(std::vector<std::int32_t> tokens, std::int64_t batch, std::int64_t window, std::uint64_t seed);
  LanguageBatch batch(std::int64_t number) const override;
  std::string fingerprint() const override { return fingerprint_; }
  std::int64_t windows() const { return windows_; }

 private:
  std::vector<std::int32_t> tokens_;
  std::int64_t batch_, window_, windows_;
  std::uint64_t seed_;
  std::string fingerprint_;
};

}  // namespace kinglet
