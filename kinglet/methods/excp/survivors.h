// The values of one array that survived pruning, as points for k-means: exactly while there are few, as a histogram of
// 65,536 bins with exact bin means when there are many.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kinglet/kernels/statistics.h"
#include "kinglet/methods/excp/kmeans.h"

namespace kinglet::excp {

class Survivors {
 public:
  static constexpr std::size_t kExactLimit = 1024;

  // Adds x[i] for which (flags[i] & flag_bit) != 0; finite values only.
  void add(const float* x, const std::uint8_t* flags, std::uint8_t flag_bit, std::size_t n);
  void merge(Survivors& other);

  bool is_exact() const { return histogram_ == nullptr; }
  std::vector<WeightedPoint> points();  // strictly ascending; the result does not depend on how values were split

 private:
  void move_to_histogram();

  std::vector<float> values_;
  std::unique_ptr<ValueHistogram> histogram_;
};

}  // namespace kinglet::excp
