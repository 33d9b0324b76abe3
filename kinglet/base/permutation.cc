#include "kinglet/base/permutation.h"

#include <bit>
#include <cassert>

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

// The finaliser of SplitMix64 (Steele et al. 2014).
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

}  // namespace

Permutation::Permutation(std::uint64_t count, std::uint64_t seed) : count_(count) {
  Rng rng(seed);
  for (std::uint64_t& key : keys_) key = rng.next();
  const auto bits = static_cast<unsigned>(std::bit_width(count > 1 ? count - 1 : 1));
  half_bits_ = (bits + 1) / 2;
}

std::uint64_t Permutation::scramble(std::uint64_t index) const {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  std::uint64_t left = index >> half_bits_, right = index & mask;
  for (const std::uint64_t key : keys_) {
    const std::uint64_t next = left ^ (mix(right + key) & mask);
    left = right;
    right = next;
  }
  return left << half_bits_ | right;
}

std::uint64_t Permutation::operator()(std::uint64_t index) const {
  assert(index < count_);
  // At most four numbers share a place in range, so the walk is short.
  do index = scramble(index);
  while (index >= count_);
  return index;
}

}  // namespace kinglet
