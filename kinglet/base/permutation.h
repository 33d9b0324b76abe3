// A pseudo-random order of [0, count) that needs no memory: any place of the order can be asked for at once, so a
// reader resumes from one number.
#pragma once

#include <cstdint>

namespace kinglet {

// A bijection of [0, count), the same for the same seed on every machine: four Feistel rounds over the next even number
// of bits, repeated until the result is in range.
class Permutation {
 public:
  Permutation(std::uint64_t count, std::uint64_t seed);
  std::uint64_t operator()(std::uint64_t index) const;  // index < count

 private:
  std::uint64_t scramble(std::uint64_t index) const;

  std::uint64_t count_;
  std::uint64_t keys_[4];
  unsigned half_bits_;
};

}  // namespace kinglet
