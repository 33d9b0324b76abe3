#include "kinglet/kernels/quantize.h"

#include <cassert>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/quantize.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kinglet/kernels/loops.h"

HWY_BEFORE_NAMESPACE();
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
KINGLET_SCALAR_LOOPS
#endif
namespace kinglet {
namespace HWY_NAMESPACE {

constexpr std::size_t kChunk = 64;

template <bool kMoments, bool kJoint>
void KeepFlags(const float* HWY_RESTRICT delta, const float* HWY_RESTRICT first, std::size_t n, float weight_threshold,
               float moment_threshold, std::uint8_t* HWY_RESTRICT flags, std::size_t* kept) {
  std::size_t weights = 0, moments = 0;
  for (std::size_t start = 0; start < n; start += kChunk) {
    const std::size_t length = n - start < kChunk ? n - start : kChunk;
    std::uint32_t chunk_weights = 0, chunk_moments = 0;
    for (std::size_t i = start; i < start + length; ++i) {
      const std::uint32_t weight = __builtin_fabsf(delta[i]) > weight_threshold ? 1U : 0U;
      std::uint32_t moment = 0;
      if constexpr (kMoments) {
        moment = __builtin_fabsf(first[i]) > moment_threshold ? 1U : 0U;
        if constexpr (kJoint) moment &= weight;
      }
      flags[i] = static_cast<std::uint8_t>(weight | moment << 1);
      chunk_weights += weight;
      chunk_moments += moment;
    }
    weights += chunk_weights;
    moments += chunk_moments;
  }
  kept[0] = weights;
  kept[1] = moments;
}

void KeepFlagsAny(const float* delta, const float* first, std::size_t n, float weight_threshold, float moment_threshold,
                  bool joint, std::uint8_t* flags, std::size_t* kept) {
  if (first == nullptr) return KeepFlags<false, false>(delta, first, n, weight_threshold, 0, flags, kept);
  if (joint) return KeepFlags<true, true>(delta, first, n, weight_threshold, moment_threshold, flags, kept);
  KeepFlags<true, false>(delta, first, n, weight_threshold, moment_threshold, flags, kept);
}

// One chunk: every boundary is compared with all elements, which vectorises; pruned elements are masked at the end.
void QuantizeChunk(const float* HWY_RESTRICT x, const std::uint8_t* HWY_RESTRICT flags, std::uint32_t flag_bit,
                   const float* HWY_RESTRICT boundaries, std::size_t k, std::size_t n,
                   std::uint8_t* HWY_RESTRICT classes) {
  std::uint32_t rank[kChunk];
  for (std::size_t i = 0; i < n; ++i) rank[i] = 1;
  for (std::size_t j = 0; j + 1 < k; ++j) {
    const float boundary = boundaries[j];
    for (std::size_t i = 0; i < n; ++i) rank[i] += x[i] > boundary ? 1U : 0U;
  }
  for (std::size_t i = 0; i < n; ++i) {
    classes[i] = static_cast<std::uint8_t>((flags[i] & flag_bit) != 0 ? rank[i] : 0U);
  }
}

std::uint8_t FindClass(float x, const float* boundaries, std::size_t k) {
  std::size_t low = 0, high = k - 1;  // boundaries[0..low) < x
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (x > boundaries[middle])
      low = middle + 1;
    else
      high = middle;
  }
  return static_cast<std::uint8_t>(low + 1);
}

bool AnyFlag(const std::uint8_t* flags, std::size_t n, std::uint8_t flag_bit) {
  std::uint8_t all = 0;
  for (std::size_t i = 0; i < n; ++i) all |= flags[i];
  return (all & flag_bit) != 0;
}

void Quantize(const float* x, const std::uint8_t* flags, std::uint8_t flag_bit, const float* boundaries, std::size_t k,
              std::size_t n, std::uint8_t* classes) {
  for (std::size_t start = 0; start < n; start += kChunk) {
    const std::size_t length = n - start < kChunk ? n - start : kChunk;
    if (!AnyFlag(flags + start, length, flag_bit)) {
      __builtin_memset(classes + start, 0, length);
    } else if (length < kChunk || k > 16) {
      for (std::size_t i = start; i < start + length; ++i) {
        classes[i] = (flags[i] & flag_bit) != 0 ? FindClass(x[i], boundaries, k) : std::uint8_t{0};
      }
    } else {
      QuantizeChunk(x + start, flags + start, flag_bit, boundaries, k, kChunk, classes + start);
    }
  }
}

void DequantizeAdd(const std::uint8_t* HWY_RESTRICT classes, const float* HWY_RESTRICT codebook, std::size_t n,
                   float* HWY_RESTRICT x) {
  for (std::size_t i = 0; i < n; ++i) x[i] += codebook[classes[i]];
}

void Dequantize(const std::uint8_t* HWY_RESTRICT classes, const float* HWY_RESTRICT codebook, std::size_t n,
                float* HWY_RESTRICT x) {
  for (std::size_t i = 0; i < n; ++i) x[i] = codebook[classes[i]];
}

std::size_t CountNonzero(const std::uint8_t* x, std::size_t n) {
  std::size_t total = 0;
  for (std::size_t start = 0; start < n; start += 128) {
    const std::size_t end = start + 128 < n ? start + 128 : n;
    std::uint8_t count = 0;
    for (std::size_t i = start; i < end; ++i) count = static_cast<std::uint8_t>(count + (x[i] != 0 ? 1 : 0));
    total += count;
  }
  return total;
}

std::size_t CompactNonzero(const std::uint8_t* HWY_RESTRICT selector, const std::uint8_t* HWY_RESTRICT values,
                           std::size_t n, std::uint8_t* HWY_RESTRICT out) {
  std::size_t taken = 0, i = 0;
  for (; i + 8 <= n; i += 8) {
    std::uint64_t word;
    __builtin_memcpy(&word, selector + i, sizeof(word));
    if (word == 0) continue;
    for (std::size_t lane = 0; lane < 8; ++lane) {
      out[taken] = values[i + lane];
      taken += selector[i + lane] != 0 ? 1 : 0;
    }
  }
  for (; i < n; ++i) {
    if (selector[i] != 0) out[taken++] = values[i];
  }
  return taken;
}

// `available` > 0.
std::size_t ExpandNonzero(const std::uint8_t* HWY_RESTRICT selector, const std::uint8_t* HWY_RESTRICT packed,
                          std::size_t available, std::size_t n, std::uint8_t* HWY_RESTRICT values) {
  std::size_t taken = 0, i = 0;
  for (; i + 8 <= n; i += 8) {
    std::uint64_t word;
    __builtin_memcpy(&word, selector + i, sizeof(word));
    if (word == 0) {
      __builtin_memset(values + i, 0, 8);
      continue;
    }
    for (std::size_t lane = 0; lane < 8; ++lane) {
      const std::uint8_t next = packed[taken < available ? taken : available - 1];
      values[i + lane] = selector[i + lane] != 0 && taken < available ? next : std::uint8_t{0};
      taken += selector[i + lane] != 0 ? 1 : 0;
    }
  }
  for (; i < n; ++i) {
    values[i] = 0;
    if (selector[i] == 0) continue;
    if (taken < available) values[i] = packed[taken];
    ++taken;
  }
  return taken;
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kinglet {

HWY_EXPORT(KeepFlagsAny);
HWY_EXPORT(Quantize);
HWY_EXPORT(DequantizeAdd);
HWY_EXPORT(Dequantize);
HWY_EXPORT(CountNonzero);
HWY_EXPORT(CompactNonzero);
HWY_EXPORT(ExpandNonzero);

std::size_t build_keep_flags(const float* delta, const float* first, std::size_t n, float weight_threshold,
                             float moment_threshold, bool joint, std::uint8_t* flags, std::size_t* moments_kept) {
  std::size_t kept[2] = {};
  HWY_DYNAMIC_DISPATCH(KeepFlagsAny)(delta, first, n, weight_threshold, moment_threshold, joint, flags, kept);
  if (moments_kept != nullptr) *moments_kept = kept[1];
  return kept[0];
}

void quantize(const float* x, const std::uint8_t* flags, std::uint8_t flag_bit, const float* boundaries, std::size_t k,
              std::size_t n, std::uint8_t* classes) {
  assert(k >= 1 && k <= 255);
  HWY_DYNAMIC_DISPATCH(Quantize)(x, flags, flag_bit, boundaries, k, n, classes);
}

void dequantize_add(const std::uint8_t* classes, const float* codebook, std::size_t n, float* x) {
  HWY_DYNAMIC_DISPATCH(DequantizeAdd)(classes, codebook, n, x);
}

void dequantize(const std::uint8_t* classes, const float* codebook, std::size_t n, float* x) {
  HWY_DYNAMIC_DISPATCH(Dequantize)(classes, codebook, n, x);
}

std::size_t compact_nonzero(const std::uint8_t* selector, const std::uint8_t* values, std::size_t n,
                            std::uint8_t* out) {
  return HWY_DYNAMIC_DISPATCH(CompactNonzero)(selector, values, n, out);
}

std::size_t expand_nonzero(const std::uint8_t* selector, const std::uint8_t* packed, std::size_t available,
                           std::size_t n, std::uint8_t* values) {
  if (available == 0) {
    std::memset(values, 0, n);
    return HWY_DYNAMIC_DISPATCH(CountNonzero)(selector, n);
  }
  return HWY_DYNAMIC_DISPATCH(ExpandNonzero)(selector, packed, available, n, values);
}

void pack_bits(const std::uint8_t* classes, std::size_t n, int bits, std::uint8_t* out) {
  const std::size_t per_byte = 8 / static_cast<std::size_t>(bits);
  for (std::size_t i = 0, byte = 0; i < n; i += per_byte, ++byte) {
    unsigned packed = 0;
    for (std::size_t lane = 0; lane < per_byte; ++lane) {
      packed = packed << bits | (i + lane < n ? classes[i + lane] : 0U);
    }
    out[byte] = static_cast<std::uint8_t>(packed);
  }
}

void unpack_bits(const std::uint8_t* packed, std::size_t n, int bits, std::uint8_t* classes) {
  const std::size_t per_byte = 8 / static_cast<std::size_t>(bits);
  const unsigned mask = (1U << bits) - 1U;
  for (std::size_t i = 0; i < n; ++i) {
    const auto shift = static_cast<unsigned>((per_byte - 1 - i % per_byte) * static_cast<std::size_t>(bits));
    classes[i] = static_cast<std::uint8_t>(packed[i / per_byte] >> shift & mask);
  }
}

}  // namespace kinglet
#endif  // HWY_ONCE
