// Passes over a row of logits, which may be a quarter of a million wide, at the rate of reading them.
#pragma once

#include <cstddef>
#include <span>

namespace kinglet {

struct LargestLogit {
  std::size_t index = 0;  // the lowest among equals
  bool has_nan = false;   // then `index` means nothing
};
// Of a row that is not empty.
LargestLogit largest_logit(std::span<const float> logits);

// weights[i] = e^((logits[i] - largest) / temperature), 0 where that is below 1.7e-38; returns their sum. temperature >
// 0, `largest` the largest logit. Both of the same size.
double softmax_weights(std::span<const float> logits, float largest, float temperature, std::span<float> weights);

}  // namespace kinglet
