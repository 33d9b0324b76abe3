#include "kinglet/text/keyed_permutation.h"

#include <bit>
#include <cassert>

namespace kinglet {
namespace {

constexpr unsigned kRounds = 6;

// The finalizer of SplitMix64.
std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9U;
  value = (value ^ value >> 27) * 0x94D049BB133111EBU;
  return value ^ value >> 31;
}

}  // namespace

KeyedPermutation::KeyedPermutation(std::uint64_t count, std::uint64_t key)
    : count_(count), key_(mixed(key + 0x9E3779B97F4A7C15U)) {
  assert(count > 0);
  half_bits_ = (static_cast<unsigned>(std::bit_width(count - 1)) + 1) / 2;
  if (half_bits_ == 0) half_bits_ = 1;
}

std::uint64_t KeyedPermutation::once(std::uint64_t value) const {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  std::uint64_t left = value >> half_bits_, right = value & mask;
  for (unsigned round = 0; round < kRounds; ++round) {
    const std::uint64_t next = left ^ (mixed(right + key_ + round * 0xD1B54A32D192ED03U) & mask);
    left = right;
    right = next;
  }
  return left << half_bits_ | right;
}

std::uint64_t KeyedPermutation::operator()(std::uint64_t position) const {
  assert(position < count_);
  do position = once(position);
  while (position >= count_);
  return position;
}

}  // namespace kinglet
