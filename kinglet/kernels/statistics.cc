#include "kinglet/kernels/statistics.h"

#include <bit>
#include <cassert>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/statistics.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kinglet/kernels/loops.h"

HWY_BEFORE_NAMESPACE();
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
KINGLET_SCALAR_LOOPS
#endif
namespace kinglet {
namespace HWY_NAMESPACE {

constexpr std::size_t kHighBins = 32768;
constexpr std::size_t kChunk = 32;

void Subtract(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, std::size_t n, float* HWY_RESTRICT out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = a[i] - b[i];
}

std::uint32_t MagnitudeBits(const float* x) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, x, sizeof(bits));
  return bits & 0x7fffffffU;
}

// Four interleaved tables: neighbouring elements often fall into the same bin, and one counter would wait for itself.
void HighHistogram(const float* x, std::size_t n, std::uint32_t* tables) {
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) ++tables[lane * kHighBins + (MagnitudeBits(x + i + lane) >> 16)];
  }
  for (; i < n; ++i) ++tables[MagnitudeBits(x + i) >> 16];
}

// The selected bin holds about one element in two hundred, so whole chunks are tested first.
void LowHistogram(const float* x, std::size_t n, std::uint32_t bin, std::uint32_t* low) {
  std::size_t i = 0;
  for (; i + kChunk <= n; i += kChunk) {
    std::uint32_t bits_of[kChunk];
    __builtin_memcpy(bits_of, x + i, sizeof(bits_of));
    std::uint32_t matches = 0;
    for (std::size_t lane = 0; lane < kChunk; ++lane) matches |= (bits_of[lane] >> 16 & 0x7fffU) == bin ? 1U : 0U;
    if (matches == 0) continue;
    for (std::size_t lane = 0; lane < kChunk; ++lane) {
      const std::uint32_t bits = MagnitudeBits(x + i + lane);
      if (bits >> 16 == bin) ++low[bits & 0xffffU];
    }
  }
  for (; i < n; ++i) {
    const std::uint32_t bits = MagnitudeBits(x + i);
    if (bits >> 16 == bin) ++low[bits & 0xffffU];
  }
}

// Counts of one chunk stay in 32 bits, which is what the compiler vectorises.
std::uint64_t CountZeros(const float* x, std::size_t n) {
  std::uint64_t total = 0;
  std::size_t i = 0;
  for (; i + 1024 <= n; i += 1024) {
    std::uint32_t count = 0;
    for (std::size_t lane = 0; lane < 1024; ++lane) count += x[i + lane] == 0.0F ? 1U : 0U;
    total += count;
  }
  for (; i < n; ++i) total += x[i] == 0.0F ? 1U : 0U;
  return total;
}

template <bool kMagnitude>
double Sum(const float* x, std::size_t n) {
  double lanes[16] = {};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (std::size_t lane = 0; lane < 16; ++lane) {
      const float value = x[i + lane];
      lanes[lane] += static_cast<double>(kMagnitude ? __builtin_fabsf(value) : value);
    }
  }
  for (std::size_t lane = 0; i < n; ++i, ++lane) {
    lanes[lane] += static_cast<double>(kMagnitude ? __builtin_fabsf(x[i]) : x[i]);
  }
  for (std::size_t width = 8; width > 0; width /= 2) {
    for (std::size_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

double SumValues(const float* x, std::size_t n) { return Sum<false>(x, n); }
double SumMagnitudes(const float* x, std::size_t n) { return Sum<true>(x, n); }

void CheckValues(const float* x, std::size_t n, std::uint64_t* nonfinite, std::uint64_t* negative) {
  constexpr float kLargest = 3.40282346638528859812e+38F;
  std::uint64_t finite = 0, below = 0;
  std::size_t i = 0;
  for (; i + 1024 <= n; i += 1024) {
    std::uint32_t chunk_finite = 0, chunk_below = 0;
    for (std::size_t lane = 0; lane < 1024; ++lane) {
      const float value = x[i + lane];
      chunk_finite += __builtin_fabsf(value) <= kLargest ? 1U : 0U;
      chunk_below += value < 0.0F ? 1U : 0U;
    }
    finite += chunk_finite;
    below += chunk_below;
  }
  for (; i < n; ++i) {
    finite += __builtin_fabsf(x[i]) <= kLargest ? 1U : 0U;
    below += x[i] < 0.0F ? 1U : 0U;
  }
  *nonfinite = n - finite;
  *negative = below;
}

// Adds count << 36 | low to the bin of every flagged value.
void AddValues(const float* x, const std::uint8_t* flags, std::uint8_t flag_bit, std::size_t n, std::uint64_t* bins) {
  const std::uint64_t wanted = 0x0101010101010101ULL * flag_bit;
  const auto add = [x, bins](std::size_t i) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof(bits));
    const std::uint32_t image = bits ^ ((bits >> 31) != 0 ? 0xffffffffU : 0x80000000U);
    bins[image >> 16] += (std::uint64_t{1} << 36) + (image & 0xffffU);
  };
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    std::uint64_t word;
    __builtin_memcpy(&word, flags + i, sizeof(word));
    for (word &= wanted; word != 0; word &= word - 1) add(i + static_cast<std::size_t>(__builtin_ctzll(word)) / 8);
  }
  for (; i < n; ++i) {
    if ((flags[i] & flag_bit) != 0) add(i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kinglet {

HWY_EXPORT(Subtract);
HWY_EXPORT(HighHistogram);
HWY_EXPORT(LowHistogram);
HWY_EXPORT(CountZeros);
HWY_EXPORT(SumValues);
HWY_EXPORT(SumMagnitudes);
HWY_EXPORT(CheckValues);
HWY_EXPORT(AddValues);

namespace {

constexpr std::size_t kMagnitudeBins = 32768;
constexpr std::size_t kLowBins = 65536;

void add_tables(std::vector<std::uint32_t>& to, const std::vector<std::uint32_t>& from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

}  // namespace

void subtract(const float* a, const float* b, std::size_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(Subtract)(a, b, n, out);
}

double sum(const float* x, std::size_t n) { return HWY_DYNAMIC_DISPATCH(SumValues)(x, n); }
double sum_of_magnitudes(const float* x, std::size_t n) { return HWY_DYNAMIC_DISPATCH(SumMagnitudes)(x, n); }

ValueCheck check_values(const float* x, std::size_t n) {
  ValueCheck check;
  HWY_DYNAMIC_DISPATCH(CheckValues)(x, n, &check.nonfinite, &check.negative);
  return check;
}

MagnitudeMedian::MagnitudeMedian() : high_(4 * kMagnitudeBins) {}

void MagnitudeMedian::add_high(const float* x, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(HighHistogram)(x, n, high_.data());
  zeros_ += HWY_DYNAMIC_DISPATCH(CountZeros)(x, n);
  count_ += n;
  assert(count_ <= UINT32_MAX);
}

void MagnitudeMedian::merge_high(const MagnitudeMedian& other) {
  add_tables(high_, other.high_);
  zeros_ += other.zeros_;
  count_ += other.count_;
  assert(count_ <= UINT32_MAX);
}

bool MagnitudeMedian::select(bool skip_zeros) {
  const std::uint64_t skipped = skip_zeros ? zeros_ : 0;
  if (count_ == skipped) return false;
  select_rank(skipped + (count_ - skipped - 1) / 2);  // zeros come first in the order of all magnitudes
  return true;
}

void MagnitudeMedian::select_rank(std::uint64_t rank) {
  assert(rank < count_);
  for (std::size_t bin = 0; bin < kMagnitudeBins; ++bin) {
    std::uint64_t in_bin = 0;
    for (std::size_t table = 0; table < 4; ++table) in_bin += high_[table * kMagnitudeBins + bin];
    if (rank < in_bin) {
      bin_ = static_cast<std::uint32_t>(bin);
      break;
    }
    rank -= in_bin;
  }
  rank_in_bin_ = rank;
  low_.assign(kLowBins, 0);
}

void MagnitudeMedian::add_low(const float* x, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(LowHistogram)(x, n, bin_, low_.data());
}

void MagnitudeMedian::merge_low(const MagnitudeMedian& other) { add_tables(low_, other.low_); }

float MagnitudeMedian::value() const {
  std::uint64_t below = 0;
  for (std::uint32_t low = 0; low < low_.size(); ++low) {
    below += low_[low];
    if (rank_in_bin_ < below) return std::bit_cast<float>(bin_ << 16 | low);
  }
  return 0;
}

std::uint64_t MagnitudeMedian::count() const { return count_; }
std::uint64_t MagnitudeMedian::zeros() const { return zeros_; }

ValueHistogram::ValueHistogram() : packed_(kBins), count_(kBins), low_sum_(kBins) {}

void ValueHistogram::add(const float* x, const std::uint8_t* flags, std::uint8_t flag_bit, std::size_t n) {
  constexpr std::size_t kPackedLimit = std::size_t{1} << 20;  // 16 + 20 bits of low parts stay below the count
  for (std::size_t begin = 0; begin < n; begin += kPackedLimit) {
    const std::size_t length = n - begin < kPackedLimit ? n - begin : kPackedLimit;
    if (pending_ + length > kPackedLimit) unpack();
    HWY_DYNAMIC_DISPATCH(AddValues)(x + begin, flags + begin, flag_bit, length, packed_.data());
    pending_ += length;
  }
}

void ValueHistogram::unpack() {
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    count_[bin] += packed_[bin] >> 36;
    low_sum_[bin] += packed_[bin] & ((std::uint64_t{1} << 36) - 1);
    packed_[bin] = 0;
  }
  pending_ = 0;
}

void ValueHistogram::merge(ValueHistogram& other) {
  other.unpack();
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    count_[bin] += other.count_[bin];
    low_sum_[bin] += other.low_sum_[bin];
  }
}

std::vector<ValueHistogram::Bin> ValueHistogram::nonempty_bins() {
  unpack();
  std::vector<Bin> bins;
  for (std::uint32_t bin = 0; bin < kBins; ++bin) {
    if (count_[bin] == 0) continue;
    const auto value_of = [](std::uint32_t image) {
      return static_cast<double>(std::bit_cast<float>(image ^ ((image >> 31) != 0 ? 0x80000000U : 0xffffffffU)));
    };
    // Sign, exponent and seven bits of the fraction are fixed inside a bin, so the value is linear in the low part.
    const double base = value_of(bin << 16), step = value_of(bin << 16 | 1U) - base;
    bins.push_back(
        {base + step * (static_cast<double>(low_sum_[bin]) / static_cast<double>(count_[bin])), count_[bin]});
  }
  return bins;
}

void ValueHistogram::clear() { *this = ValueHistogram(); }

}  // namespace kinglet
#endif  // HWY_ONCE
