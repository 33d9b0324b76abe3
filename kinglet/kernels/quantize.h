// Pruning masks, assignment to codebook classes and reconstruction. [ExCP equations (4), (6), (8), (9)]
//
// Classes are bytes: 0 = pruned (exactly zero), 1..k = codebook entries in ascending order, k <= 255.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kinglet {

inline constexpr std::uint8_t kKeepWeight = 1;
inline constexpr std::uint8_t kKeepMoment = 2;

// flags[i] = kKeepWeight if |delta[i]| > weight_threshold (and delta[i] != 0), plus kKeepMoment if
// |first[i]| > moment_threshold and (the weight is kept or !joint). `first` may be null: no moment flags.
// Returns the number of kept weights; *moments_kept gets the other count (may be null).
std::size_t build_keep_flags(const float* delta, const float* first, std::size_t n, float weight_threshold,
                             float moment_threshold, bool joint, std::uint8_t* flags, std::size_t* moments_kept);

// classes[i] = 0 where (flags[i] & flag_bit) == 0, else 1 + #{ j : x[i] > boundaries[j] }.
// boundaries: [k - 1] ascending; k in 1..255.
void quantize(const float* x, const std::uint8_t* flags, std::uint8_t flag_bit, const float* boundaries, std::size_t k,
              std::size_t n, std::uint8_t* classes);

// x[i] += codebook[classes[i]]; codebook: [256]; entry 0 must be -0.0f so that pruned elements keep their exact bits.
void dequantize_add(const std::uint8_t* classes, const float* codebook, std::size_t n, float* x);
// x[i] = codebook[classes[i]]; entry 0 is +0.0f for moments.
void dequantize(const std::uint8_t* classes, const float* codebook, std::size_t n, float* x);

// Joint coding: out = the values[i] for which selector[i] != 0, in order; returns how many. out: room for n + 64 bytes.
std::size_t compact_nonzero(const std::uint8_t* selector, const std::uint8_t* values, std::size_t n, std::uint8_t* out);
// The inverse: values[i] = next packed byte where selector[i] != 0, else 0. Returns how many were taken; never reads
// beyond `available` (missing ones become 0, and the return value is then larger than `available`).
std::size_t expand_nonzero(const std::uint8_t* selector, const std::uint8_t* packed, std::size_t available,
                           std::size_t n, std::uint8_t* values);

std::size_t count_nonzero(const std::uint8_t* x, std::size_t n);
std::uint8_t max_value(const std::uint8_t* x, std::size_t n);  // 0 without elements

// Packs classes of `bits` (1, 2, 4 or 8) each, first element in the HIGH bits of a byte, zero padding at the end:
// 4 bits [1, 2, 15, 0] -> 12 F0. out: [ceil(n * bits / 8)].
void pack_bits(const std::uint8_t* classes, std::size_t n, int bits, std::uint8_t* out);
void unpack_bits(const std::uint8_t* packed, std::size_t n, int bits, std::uint8_t* classes);

}  // namespace kinglet
