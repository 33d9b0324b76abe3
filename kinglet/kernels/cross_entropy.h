// Cross-entropy of rows of logits, with its gradient in place of the logits.
#pragma once

#include <cstdint>

namespace kinglet {

inline constexpr std::int64_t kIgnoredLabel = -100;  // rows with this label count for nothing

// logits: [rows, columns] become, with_gradient, softmax(logits) - onehot(label) (zero for ignored rows); otherwise
// their content is lost. losses: [rows], -log softmax(logits)[label], 0 for ignored rows. labels: [rows], kIgnoredLabel
// or in [0, columns).
void cross_entropy_rows(float* logits, const std::int64_t* labels, std::int64_t rows, std::int64_t columns,
                        bool with_gradient, float* losses);

}  // namespace kinglet
