// Options of `kinglet eval`, shared by the light program and the LibTorch module.
#pragma once

#include <cstdint>
#include <string>

namespace kinglet::cli {

struct PerplexityOptions {
  std::string model;
  std::string file;
  std::int64_t window = 1024;
  std::int64_t stride = 512;
  std::int64_t most_tokens = 0;  // of the text; 0: all
  std::string dtype = "fp32";
};

}  // namespace kinglet::cli
