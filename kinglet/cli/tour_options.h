// Options of `kinglet tour`, shared by the light program and the LibTorch module.
#pragma once

#include <cstdint>
#include <string>

namespace kinglet::cli {

struct TourOptions {
  std::string output = "kinglet-tour";  // run folders, stores and report.html
  std::string images = "/usr/share/datasets/fashion-mnist";
  std::uint64_t seed = 1;
  bool quick = false;  // a fraction of the steps, for tests
};

}  // namespace kinglet::cli
