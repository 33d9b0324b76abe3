#include "kinglet/methods/excp/survivors.h"

#include <algorithm>

namespace kinglet::excp {

void Survivors::add(const float* x, const std::uint8_t* flags, std::uint8_t flag_bit, std::size_t n) {
  if (!histogram_) {
    std::size_t i = 0;
    for (; i < n && values_.size() <= kExactLimit; ++i) {
      if ((flags[i] & flag_bit) != 0) values_.push_back(x[i]);
    }
    if (values_.size() <= kExactLimit) return;
    move_to_histogram();
    x += i;
    flags += i;
    n -= i;
  }
  histogram_->add(x, flags, flag_bit, n);
}

void Survivors::move_to_histogram() {
  if (!histogram_) histogram_ = std::make_unique<ValueHistogram>();
  const std::vector<std::uint8_t> all(values_.size(), 1);
  histogram_->add(values_.data(), all.data(), 1, values_.size());
  values_.clear();
}

void Survivors::merge(Survivors& other) {
  values_.insert(values_.end(), other.values_.begin(), other.values_.end());
  if (other.histogram_) {
    move_to_histogram();
    histogram_->merge(*other.histogram_);
  } else if (histogram_ || values_.size() > kExactLimit) {
    move_to_histogram();
  }
}

std::vector<WeightedPoint> Survivors::points() {
  std::vector<WeightedPoint> result;
  if (histogram_) {
    for (const ValueHistogram::Bin& bin : histogram_->nonempty_bins()) result.push_back({bin.mean, bin.count});
    return result;
  }
  std::sort(values_.begin(), values_.end());
  for (const float value : values_) {
    if (!result.empty() && result.back().value == static_cast<double>(value)) {
      ++result.back().count;
    } else {
      result.push_back({static_cast<double>(value), 1});
    }
  }
  return result;
}

}  // namespace kinglet::excp
