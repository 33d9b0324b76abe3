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

constexpr std::size_t kChunk = 32;

void Subtract(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, std::size_t n, float* HWY_RESTRICT out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = a[i] - b[i];
}

HWY_INLINE std::uint32_t MagnitudeBits(const float* x) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, x, sizeof(bits));
  return bits & 0x7fffffffU;
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

// Like Sum: 16 accumulators for each of the two sums.
void SquaredError(const float* HWY_RESTRICT x, const float* HWY_RESTRICT approximation, std::size_t n,
                  double* HWY_RESTRICT result) {
  double errors[16] = {}, squares[16] = {};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (std::size_t lane = 0; lane < 16; ++lane) {
      const double value = static_cast<double>(x[i + lane]);
      const double error = value - static_cast<double>(approximation[i + lane]);
      errors[lane] += error * error;
      squares[lane] += value * value;
    }
  }
  for (std::size_t lane = 0; i < n; ++i, ++lane) {
    const double value = static_cast<double>(x[i]);
    const double error = value - static_cast<double>(approximation[i]);
    errors[lane] += error * error;
    squares[lane] += value * value;
  }
  for (std::size_t width = 8; width > 0; width /= 2) {
    for (std::size_t lane = 0; lane < width; ++lane) {
      errors[lane] += errors[lane + width];
      squares[lane] += squares[lane + width];
    }
  }
  result[0] = errors[0];
  result[1] = squares[0];
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

HWY_INLINE void AddTo(std::uint64_t* bins, const float* x) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, x, sizeof(bits));
  bins[bits >> 16] += (std::uint64_t{1} << 36) + (bits & 0xffffU);
}

// Adds count << 36 | low to the bin of every value.
void AddAll(const float* x, std::size_t n, std::uint64_t* bins) {
  for (std::size_t i = 0; i < n; ++i) AddTo(bins, x + i);
}

// The same for flagged values.
void AddFlagged(const float* x, const std::uint8_t* flags, std::uint8_t flag_bit, std::size_t n, std::uint64_t* bins) {
  const std::uint64_t wanted = 0x0101010101010101ULL * flag_bit;
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    std::uint64_t word;
    __builtin_memcpy(&word, flags + i, sizeof(word));
    for (word &= wanted; word != 0; word &= word - 1) {
      AddTo(bins, x + i + static_cast<std::size_t>(__builtin_ctzll(word)) / 8);
    }
  }
  for (; i < n; ++i) {
    if ((flags[i] & flag_bit) != 0) AddTo(bins, x + i);
  }
}

// Counts and low sums, by sign, of values in the threshold's bin whose magnitude is above the threshold.
void AddEdge(const float* x, std::size_t n, std::uint32_t threshold, std::uint64_t* count, std::uint64_t* low_sum) {
  const auto add = [&](std::uint32_t bits) {
    const std::uint32_t magnitude = bits & 0x7fffffffU;
    if (magnitude >> 16 != threshold >> 16 || magnitude <= threshold) return;
    const std::uint32_t negative = bits >> 31;
    ++count[negative];
    low_sum[negative] += bits & 0xffffU;
  };
  std::size_t i = 0;
  for (; i + kChunk <= n; i += kChunk) {
    std::uint32_t bits[kChunk];
    __builtin_memcpy(bits, x + i, sizeof(bits));
    std::uint32_t matches = 0;
    for (std::size_t lane = 0; lane < kChunk; ++lane) {
      matches |= (bits[lane] >> 16 & 0x7fffU) == threshold >> 16 ? 1U : 0U;
    }
    if (matches == 0) continue;
    for (std::size_t lane = 0; lane < kChunk; ++lane) add(bits[lane]);
  }
  for (; i < n; ++i) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof(bits));
    add(bits);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kinglet {

HWY_EXPORT(Subtract);
HWY_EXPORT(LowHistogram);
HWY_EXPORT(CountZeros);
HWY_EXPORT(SumValues);
HWY_EXPORT(SumMagnitudes);
HWY_EXPORT(SquaredError);
HWY_EXPORT(CheckValues);
HWY_EXPORT(AddAll);
HWY_EXPORT(AddFlagged);
HWY_EXPORT(AddEdge);

namespace {

constexpr std::uint32_t kMagnitudeBins = 32768;
constexpr std::uint32_t kLowBins = 65536;
constexpr std::size_t kPackedLimit = std::size_t{1} << 20;  // 16 + 20 bits of low parts stay below the count

// The histogram bins that hold a magnitude bin's positive and negative values.
constexpr std::uint32_t positive_bin(std::uint32_t magnitude_bin) { return magnitude_bin; }
constexpr std::uint32_t negative_bin(std::uint32_t magnitude_bin) { return magnitude_bin | 0x8000U; }

std::uint32_t magnitude_bits(float x) { return std::bit_cast<std::uint32_t>(x) & 0x7fffffffU; }

}  // namespace

void subtract(const float* a, const float* b, std::size_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(Subtract)(a, b, n, out);
}

double sum(const float* x, std::size_t n) { return HWY_DYNAMIC_DISPATCH(SumValues)(x, n); }
double sum_of_magnitudes(const float* x, std::size_t n) { return HWY_DYNAMIC_DISPATCH(SumMagnitudes)(x, n); }

SquaredSums squared_error(const float* x, const float* approximation, std::size_t n) {
  double result[2];
  HWY_DYNAMIC_DISPATCH(SquaredError)(x, approximation, n, result);
  return {result[0], result[1]};
}

std::uint64_t count_zeros(const float* x, std::size_t n) { return HWY_DYNAMIC_DISPATCH(CountZeros)(x, n); }

ValueCheck check_values(const float* x, std::size_t n) {
  ValueCheck check;
  HWY_DYNAMIC_DISPATCH(CheckValues)(x, n, &check.nonfinite, &check.negative);
  return check;
}

ValueHistogram::ValueHistogram() : packed_(kBins), count_(kBins), low_sum_(kBins) {}

void ValueHistogram::add(const float* x, std::size_t n) {
  for (std::size_t begin = 0; begin < n; begin += kPackedLimit) {
    const std::size_t length = n - begin < kPackedLimit ? n - begin : kPackedLimit;
    if (pending_ + length > kPackedLimit) unpack();
    HWY_DYNAMIC_DISPATCH(AddAll)(x + begin, length, packed_.data());
    pending_ += length;
  }
}

void ValueHistogram::add(const float* x, const std::uint8_t* flags, std::uint8_t flag_bit, std::size_t n) {
  for (std::size_t begin = 0; begin < n; begin += kPackedLimit) {
    const std::size_t length = n - begin < kPackedLimit ? n - begin : kPackedLimit;
    if (pending_ + length > kPackedLimit) unpack();
    HWY_DYNAMIC_DISPATCH(AddFlagged)(x + begin, flags + begin, flag_bit, length, packed_.data());
    pending_ += length;
  }
}

void ValueHistogram::unpack() {
  if (pending_ == 0) return;
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

void ValueHistogram::append_bin(std::uint32_t bin, std::vector<Bin>& bins) const {
  append_bin(bin, count_[bin], low_sum_[bin], bins);
}

std::uint64_t ValueHistogram::count() {
  unpack();
  std::uint64_t total = 0;
  for (const std::uint64_t in_bin : count_) total += in_bin;
  return total;
}

void ValueHistogram::append_bin(std::uint32_t bin, std::uint64_t count, std::uint64_t low_sum,
                                std::vector<Bin>& bins) const {
  if (count == 0) return;
  // Sign, exponent and seven bits of the fraction are fixed inside a bin, so the value is linear in the low part.
  const auto base = static_cast<double>(std::bit_cast<float>(bin << 16));
  const double step = static_cast<double>(std::bit_cast<float>(bin << 16 | 1U)) - base;
  bins.push_back({base + step * (static_cast<double>(low_sum) / static_cast<double>(count)), count});
}

std::vector<ValueHistogram::Bin> ValueHistogram::nonempty_bins() {
  unpack();
  std::vector<Bin> bins;
  for (std::uint32_t bin = kMagnitudeBins; bin-- > 0;) append_bin(negative_bin(bin), bins);
  for (std::uint32_t bin = 0; bin < kMagnitudeBins; ++bin) append_bin(positive_bin(bin), bins);
  return bins;
}

std::vector<ValueHistogram::Bin> ValueHistogram::bins_above(float threshold, const Edge& edge) {
  unpack();
  const std::uint32_t split = magnitude_bits(threshold) >> 16;
  std::vector<Bin> bins;
  for (std::uint32_t bin = kMagnitudeBins; --bin > split;) append_bin(negative_bin(bin), bins);
  append_bin(negative_bin(split), edge.count_[1], edge.low_sum_[1], bins);
  append_bin(positive_bin(split), edge.count_[0], edge.low_sum_[0], bins);
  for (std::uint32_t bin = split + 1; bin < kMagnitudeBins; ++bin) append_bin(positive_bin(bin), bins);
  return bins;
}

std::uint64_t ValueHistogram::count_from_bin_of(float threshold) {
  unpack();
  std::uint64_t total = 0;
  for (std::uint32_t bin = magnitude_bits(threshold) >> 16; bin < kMagnitudeBins; ++bin) {
    total += count_[positive_bin(bin)] + count_[negative_bin(bin)];
  }
  return total;
}

void ValueHistogram::Edge::add(const float* x, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(AddEdge)(x, n, magnitude_bits(threshold_), count_, low_sum_);
}

void ValueHistogram::Edge::merge(const Edge& other) {
  for (const std::size_t sign : {0U, 1U}) {
    count_[sign] += other.count_[sign];
    low_sum_[sign] += other.low_sum_[sign];
  }
}

MagnitudeSelector::MagnitudeSelector(ValueHistogram& all, std::uint64_t rank) : low_(kLowBins) {
  assert(rank < all.count());
  all.unpack();
  for (std::uint32_t bin = 0; bin < kMagnitudeBins; ++bin) {
    const std::uint64_t in_bin = all.count_[positive_bin(bin)] + all.count_[negative_bin(bin)];
    if (rank < in_bin) {
      bin_ = bin;
      break;
    }
    rank -= in_bin;
  }
  rank_in_bin_ = rank;
}

void MagnitudeSelector::add(const float* x, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(LowHistogram)(x, n, bin_, low_.data());
}

void MagnitudeSelector::merge(const MagnitudeSelector& other) {
  for (std::size_t i = 0; i < low_.size(); ++i) low_[i] += other.low_[i];
}

float MagnitudeSelector::value() const {
  std::uint64_t below = 0;
  for (std::uint32_t low = 0; low < kLowBins; ++low) {
    below += low_[low];
    if (rank_in_bin_ < below) return std::bit_cast<float>(bin_ << 16 | low);
  }
  return 0;
}

}  // namespace kinglet
#endif  // HWY_ONCE
