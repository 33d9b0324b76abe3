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
constexpr std::uint32_t kFewFlags = 6;  // up to here a search an element is faster than comparing a whole chunk

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
HWY_INLINE void QuantizeChunk(const float* HWY_RESTRICT x, const std::uint8_t* HWY_RESTRICT flags,
                              std::uint32_t flag_bit, const float* HWY_RESTRICT boundaries, std::size_t k,
                              std::size_t n, std::uint8_t* HWY_RESTRICT classes) {
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

HWY_INLINE std::uint8_t FindClass(float x, const float* boundaries, std::size_t k) {
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

// Four comparisons without branches; padded: [15], infinity beyond the last boundary.
HWY_INLINE std::uint8_t FindClassOf16(float x, const float* padded) {
  std::size_t at = x > padded[7] ? 8 : 0;
  at += x > padded[at + 3] ? 4 : 0;
  at += x > padded[at + 1] ? 2 : 0;
  at += x > padded[at] ? 1 : 0;
  return static_cast<std::uint8_t>(at + 1);
}

HWY_INLINE std::uint32_t CountFlags(const std::uint8_t* flags, std::size_t n, std::uint8_t flag_bit) {
  std::uint8_t count = 0;  // n <= kChunk
  for (std::size_t i = 0; i < n; ++i) count = static_cast<std::uint8_t>(count + ((flags[i] & flag_bit) != 0 ? 1 : 0));
  return count;
}

// Element by element, for chunks with few flags. classes: zero where it is not written.
void QuantizeFlagged(const float* x, const std::uint8_t* flags, std::uint8_t flag_bit, const float* boundaries,
                     std::size_t k, std::size_t begin, std::size_t end, std::uint8_t* classes) {
  float padded[15];
  for (std::size_t j = 0; j < 15; ++j) padded[j] = j + 1 < k ? boundaries[j] : __builtin_inff();
  const auto find = [&](std::size_t i) {
    classes[i] = k <= 16 ? FindClassOf16(x[i], padded) : FindClass(x[i], boundaries, k);
  };
  const std::uint64_t wanted = 0x0101010101010101ULL * flag_bit;
  std::size_t i = begin;
  for (; i + 8 <= end; i += 8) {
    std::uint64_t word;
    __builtin_memcpy(&word, flags + i, sizeof(word));
    for (word &= wanted; word != 0; word &= word - 1) find(i + static_cast<std::size_t>(__builtin_ctzll(word)) / 8);
  }
  for (; i < end; ++i) {
    if ((flags[i] & flag_bit) != 0) find(i);
  }
}

void Quantize(const float* x, const std::uint8_t* flags, std::uint8_t flag_bit, const float* boundaries, std::size_t k,
              std::size_t n, std::uint8_t* classes) {
  for (std::size_t start = 0; start < n; start += kChunk) {
    const std::size_t length = n - start < kChunk ? n - start : kChunk;
    const std::uint32_t flagged = CountFlags(flags + start, length, flag_bit);
    if (flagged <= kFewFlags || length < kChunk || k > 16) {
      __builtin_memset(classes + start, 0, length);
      if (flagged == 0) continue;
      QuantizeFlagged(x, flags, flag_bit, boundaries, k, start, start + length, classes);
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
    if (taken + 8 <= available) {
      for (std::size_t lane = 0; lane < 8; ++lane) {
        const std::uint32_t present = selector[i + lane] != 0 ? 1U : 0U;
        values[i + lane] = static_cast<std::uint8_t>(packed[taken] * present);
        taken += present;
      }
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

std::uint8_t MaxValue(const std::uint8_t* x, std::size_t n) {
  std::uint8_t highest = 0;
  for (std::size_t i = 0; i < n; ++i) highest = x[i] > highest ? x[i] : highest;
  return highest;
}

// kBits is known at compile time, so that the shifts vectorise.
template <unsigned kBits>
void Pack(const std::uint8_t* HWY_RESTRICT classes, std::size_t n, std::uint8_t* HWY_RESTRICT out) {
  constexpr std::size_t kPerByte = 8 / kBits;
  const std::size_t whole = n / kPerByte;
  for (std::size_t byte = 0; byte < whole; ++byte) {
    unsigned packed = 0;
    for (std::size_t lane = 0; lane < kPerByte; ++lane) packed = packed << kBits | classes[byte * kPerByte + lane];
    out[byte] = static_cast<std::uint8_t>(packed);
  }
  if (whole * kPerByte == n) return;
  unsigned packed = 0;
  for (std::size_t lane = 0; lane < kPerByte; ++lane) {
    const std::size_t i = whole * kPerByte + lane;
    packed = packed << kBits | (i < n ? classes[i] : 0U);
  }
  out[whole] = static_cast<std::uint8_t>(packed);
}

template <unsigned kBits>
void Unpack(const std::uint8_t* HWY_RESTRICT packed, std::size_t n, std::uint8_t* HWY_RESTRICT classes) {
  constexpr std::size_t kPerByte = 8 / kBits;
  constexpr unsigned kMask = (1U << kBits) - 1;
  const std::size_t whole = n / kPerByte;
  for (std::size_t byte = 0; byte < whole; ++byte) {
    for (std::size_t lane = 0; lane < kPerByte; ++lane) {
      classes[byte * kPerByte + lane] = static_cast<std::uint8_t>(packed[byte] >> (8 - kBits - kBits * lane) & kMask);
    }
  }
  for (std::size_t i = whole * kPerByte; i < n; ++i) {
    classes[i] = static_cast<std::uint8_t>(packed[whole] >> (8 - kBits - kBits * (i % kPerByte)) & kMask);
  }
}

void PackAny(const std::uint8_t* classes, std::size_t n, int bits, std::uint8_t* out) {
  switch (bits) {
    case 1:
      Pack<1>(classes, n, out);
      break;
    case 2:
      Pack<2>(classes, n, out);
      break;
    case 4:
      Pack<4>(classes, n, out);
      break;
    default:
      if (n > 0) __builtin_memcpy(out, classes, n);  // the pointers of empty arrays may be null
      break;
  }
}

void UnpackAny(const std::uint8_t* packed, std::size_t n, int bits, std::uint8_t* classes) {
  switch (bits) {
    case 1:
      Unpack<1>(packed, n, classes);
      break;
    case 2:
      Unpack<2>(packed, n, classes);
      break;
    case 4:
      Unpack<4>(packed, n, classes);
      break;
    default:
      if (n > 0) __builtin_memcpy(classes, packed, n);  // the pointers of empty arrays may be null
      break;
  }
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
HWY_EXPORT(MaxValue);
HWY_EXPORT(PackAny);
HWY_EXPORT(UnpackAny);

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
    if (n > 0) std::memset(values, 0, n);
    return count_nonzero(selector, n);
  }
  return HWY_DYNAMIC_DISPATCH(ExpandNonzero)(selector, packed, available, n, values);
}

std::size_t count_nonzero(const std::uint8_t* x, std::size_t n) { return HWY_DYNAMIC_DISPATCH(CountNonzero)(x, n); }
std::uint8_t max_value(const std::uint8_t* x, std::size_t n) { return HWY_DYNAMIC_DISPATCH(MaxValue)(x, n); }

void pack_bits(const std::uint8_t* classes, std::size_t n, int bits, std::uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(PackAny)(classes, n, bits, out);
}

void unpack_bits(const std::uint8_t* packed, std::size_t n, int bits, std::uint8_t* classes) {
  HWY_DYNAMIC_DISPATCH(UnpackAny)(packed, n, bits, classes);
}

}  // namespace kinglet
#endif  // HWY_ONCE
