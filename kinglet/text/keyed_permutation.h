// A permutation of [0, count) that is computed, not stored: position -> element in constant time and memory.
//
// A balanced Feistel network over the smallest even number of bits that holds `count`, walked until it lands inside
// (Black & Rogaway, "Ciphers with arbitrary finite domains", 2002); less than four steps on average. The order is as
// good as shuffled for training; it is no protection against anybody.
#pragma once

#include <cstdint>

namespace kinglet {

class KeyedPermutation {
 public:
  KeyedPermutation(std::uint64_t count, std::uint64_t key);  // count > 0

  std::uint64_t operator()(std::uint64_t position) const;  // position < count

 private:
  std::uint64_t once(std::uint64_t value) const;

  std::uint64_t count_, key_;
  unsigned half_bits_;
};

}  // namespace kinglet
