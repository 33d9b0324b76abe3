// The statistical self-check of a pairing: do the weights move along the moments that they were paired with?
//
// After a step of Adam the weights have moved along -exp_avg / (sqrt(exp_avg_sq) + eps); over the many steps between
// two checkpoints the last direction is still a small part of the way. Measured on a small language model, the cosine
// between the two is 0.06 to 0.19 for right pairs of matrices and within 0.02 for wrong ones.
//
// A low cosine alone proves nothing: rare embedding rows, long save intervals and a decayed learning rate make it small
// for right pairs too. But a wrong pairing can only be an exchange between tensors of equal shape, so the right partner
// is among them and shows. The rule: inside each set of equal shapes, weight i and moments j != i count as exchanged if
//   cos(i, j) is the largest in row i and in column j,
//   cos(i, j) >= 6 / sqrt(m), m = number of elements looked at (six standard deviations of unrelated directions), and
//   cos(i, j) >= 3 cos(i, i) and >= 3 cos(j, j): both given partners are far worse.
// Two exchanged tensors (an exchange always concerns two) make the pairing fail. [excp.md 3.9]
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kinglet/io/number_array.h"

namespace kinglet {

// One parameter at two checkpoints; all arrays have the same number of elements.
struct MovedParameter {
  std::string name;
  std::vector<std::int64_t> shape;
  NumberArray weight_before;
  NumberArray weight_now;
  NumberArray first_moment;                  // now
  std::optional<NumberArray> second_moment;  // now; without it the direction is -first_moment
};

struct PairingEvidence {
  struct Judged {
    std::string name;
    double cosine = 0;  // with its own moments
    double noise = 0;   // 4 / sqrt(m)
    std::string best;   // whose moments fit best, among equal shapes
    double best_cosine = 0;
    bool exchanged = false;  // by the rule above
  };
  std::vector<Judged> judged;   // parameters that moved and are large enough
  std::size_t above_noise = 0;  // judged parameters whose own cosine is above the noise
  std::size_t exchanged = 0;
  bool wrong() const { return exchanged >= 2; }
};

inline constexpr std::int64_t kSmallestJudged = 16384;  // elements

// Looks at up to 2^18 evenly spread elements of each parameter. Memory: at most 2^25 floats.
PairingEvidence judge_pairing(const std::vector<MovedParameter>& parameters);

}  // namespace kinglet
