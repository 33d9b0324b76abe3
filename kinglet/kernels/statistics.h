// One-pass statistics of fp32 arrays without sorting: magnitude and value histograms over the bit patterns, sums in a
// fixed order, counts of values that must not occur. [ExCP equations (2), (3), (5)]
//
// All results are independent of the SIMD level. Histograms are integers, so they merge in any order; floating-point
// sums must be merged in block order by the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kinglet {

// out[i] = a[i] - b[i], fp32. [n] each.
void subtract(const float* a, const float* b, std::size_t n, float* out);

// Exact lower median (element (n-1)/2 of the sorted order, as torch.median) of |x| in two passes over the data.
// Pass 1: add_high() on every block; select(); pass 2: add_low() on every block; value().
class MagnitudeMedian {
 public:
  MagnitudeMedian();
  void add_high(const float* x, std::size_t n);
  void merge_high(const MagnitudeMedian& other);  // at most 2^32 - 1 elements in all
  // After pass 1. Returns false when there are no elements. `skip_zeros`: median of the non-zero elements.
  bool select(bool skip_zeros = false);
  // Selects any rank instead, in the ascending order of all magnitudes; rank < count().
  void select_rank(std::uint64_t rank);
  void add_low(const float* x, std::size_t n);
  void merge_low(const MagnitudeMedian& other);  // `other` was copied from this object after select()
  float value() const;

  std::uint64_t count() const;
  std::uint64_t zeros() const;  // exact +0 and -0; valid after pass 1

 private:
  std::vector<std::uint32_t> high_;  // [4][32768] counts of bits 30..16
  std::vector<std::uint32_t> low_;   // [65536] counts of bits 15..0 inside the selected bin
  std::uint64_t count_ = 0;
  std::uint64_t zeros_ = 0;
  std::uint64_t rank_in_bin_ = 0;
  std::uint32_t bin_ = 0;
};

// Sum of x and of |x| in double with 16 interleaved accumulators, combined in a fixed order.
double sum(const float* x, std::size_t n);
double sum_of_magnitudes(const float* x, std::size_t n);

struct ValueCheck {
  std::uint64_t nonfinite = 0;  // NaN and infinities
  std::uint64_t negative = 0;   // below zero; -0 is not
};
ValueCheck check_values(const float* x, std::size_t n);

// Histogram over the upper 16 bits of the order-preserving unsigned image of a float (bin order = value order), with
// exact bin sums: every value in a bin is base + low * ulp, so the integer sum of `low` gives the exact sum.
class ValueHistogram {
 public:
  static constexpr std::size_t kBins = 65536;
  ValueHistogram();
  // Adds x[i] for which (flags[i] & flag_bit) != 0. x must be finite.
  void add(const float* x, const std::uint8_t* flags, std::uint8_t flag_bit, std::size_t n);
  void merge(ValueHistogram& other);  // `other` keeps its content
  void clear();

  struct Bin {
    double mean = 0;  // exact mean of the values in the bin (in double)
    std::uint64_t count = 0;
  };
  std::vector<Bin> nonempty_bins();  // ascending by value

 private:
  void unpack();

  // New values are counted as count << 36 | sum of low parts, so that one addition does both.
  std::vector<std::uint64_t> packed_;
  std::size_t pending_ = 0;  // values that packed_ may hold
  std::vector<std::uint64_t> count_;
  std::vector<std::uint64_t> low_sum_;
};

}  // namespace kinglet
