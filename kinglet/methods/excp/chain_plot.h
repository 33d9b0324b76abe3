// How sizes and errors develop along a store's chain, as a picture.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kinglet/methods/excp/store.h"

namespace kinglet::excp {

struct ChainPoint {
  std::int64_t step = 0;
  bool key = false;
  std::uint64_t original_bytes = 0;
  std::uint64_t stored_bytes = 0;
  double weight_error = 0;  // RMS error of the weights / RMS of the weights, over all parameters
};

// RMS error of the weights / RMS of the weights over the parameters of one step; 0 for lossless steps.
double weight_error(const std::vector<TensorRecord>& tensors);

std::vector<ChainPoint> chain_points(const Store& store);  // reads every step's index

// A self-contained SVG: sizes above, errors below.
std::string chain_svg(const std::string& title, const std::vector<ChainPoint>& points);

}  // namespace kinglet::excp
