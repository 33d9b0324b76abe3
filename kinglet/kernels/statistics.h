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

// Sum of x and of |x| in double with 16 interleaved accumulators, combined in a fixed order.
double sum(const float* x, std::size_t n);
double sum_of_magnitudes(const float* x, std::size_t n);

// Sums of (x - approximation)^2 and of x^2, as sum().
struct SquaredSums {
  double error = 0;
  double value = 0;
};
SquaredSums squared_error(const float* x, const float* approximation, std::size_t n);

struct ValueCheck {
  std::uint64_t nonfinite = 0;  // NaN and infinities
  std::uint64_t negative = 0;   // below zero; -0 is not
};
ValueCheck check_values(const float* x, std::size_t n);

std::uint64_t count_zeros(const float* x, std::size_t n);  // +0 and -0

// Histogram over the upper 16 bits of floats (sign, exponent, seven bits of the fraction) with exact bin sums: every
// value in a bin is base + low * ulp, so the integer sum of the low 16 bits gives the exact sum.
class ValueHistogram {
 public:
  static constexpr std::size_t kBins = 65536;

  struct Bin {
    double mean = 0;  // exact mean of the values in the bin (in double)
    std::uint64_t count = 0;
  };

  ValueHistogram();
  void add(const float* x, std::size_t n);  // finite values only
  // Only x[i] for which (flags[i] & flag_bit) != 0.
  void add(const float* x, const std::uint8_t* flags, std::uint8_t flag_bit, std::size_t n);
  void merge(ValueHistogram& other);  // `other` keeps its content

  std::uint64_t count();
  std::vector<Bin> nonempty_bins();  // ascending by value
  // The bins of values x with |x| > threshold. `edge`: what add_edge() collected for the two bins that the threshold
  // splits.
  class Edge;
  std::vector<Bin> bins_above(float threshold, const Edge& edge);
  // How many values have a magnitude of the threshold's bin or above: an upper bound of those above the threshold.
  std::uint64_t count_from_bin_of(float threshold);

 private:
  friend class MagnitudeSelector;
  void unpack();
  void append_bin(std::uint32_t bin, std::vector<Bin>& bins) const;
  void append_bin(std::uint32_t bin, std::uint64_t count, std::uint64_t low_sum, std::vector<Bin>& bins) const;

  // New values are counted as count << 36 | sum of low parts, so that one addition does both.
  std::vector<std::uint64_t> packed_;
  std::size_t pending_ = 0;  // values that packed_ may hold
  std::vector<std::uint64_t> count_;
  std::vector<std::uint64_t> low_sum_;
};

// Values with |x| > threshold in the two bins (one a sign) that hold the threshold itself.
class ValueHistogram::Edge {
 public:
  explicit Edge(float threshold) : threshold_(threshold) {}
  void add(const float* x, std::size_t n);
  void merge(const Edge& other);

 private:
  friend class ValueHistogram;
  float threshold_;
  std::uint64_t count_[2] = {};    // [negative]
  std::uint64_t low_sum_[2] = {};  // of the low 16 bits
};

// Exact order statistic of |x|, without sorting: a rank is looked up in the histogram of all values, a second pass over
// the data settles the low bits. The lower median, as torch.median gives it, is rank (n - 1) / 2.
class MagnitudeSelector {
 public:
  // rank < all.count(), in ascending order of magnitudes.
  MagnitudeSelector(ValueHistogram& all, std::uint64_t rank);
  void add(const float* x, std::size_t n);  // every block that `all` has seen
  void merge(const MagnitudeSelector& other);
  float value() const;

 private:
  std::uint32_t bin_ = 0;  // bits 30..16 of the wanted magnitude
  std::uint64_t rank_in_bin_ = 0;
  std::vector<std::uint32_t> low_;  // [65536] counts of bits 15..0 inside the bin
};

}  // namespace kinglet
