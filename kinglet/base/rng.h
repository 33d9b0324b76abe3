// A small deterministic generator (xoshiro256**, Blackman & Vigna 2018, seeded through SplitMix64).
// The same seed gives the same numbers on every platform, unlike the standard distributions.
#pragma once

#include <array>
#include <cstdint>

namespace kinglet {

class Rng {
 public:
  explicit Rng(std::uint64_t seed);
  std::uint64_t next();
  std::uint64_t below(std::uint64_t bound);  // uniform in [0, bound), bound > 0, unbiased
  double uniform();                          // [0, 1), 53 bits
  double normal();                           // mean 0, variance 1 (Box-Muller)

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace kinglet
