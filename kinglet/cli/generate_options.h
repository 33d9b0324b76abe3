// Options of `kinglet generate`, shared by the light program and the LibTorch module.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kinglet::cli {

struct GenerateOptions {
  std::string model;
  std::string prompt;  // the text itself: files and stdin have been read
  std::string system;
  bool chat = false;
  bool echo = false;
  std::int64_t max_tokens = 128;
  double temperature = 0.8;
  std::int64_t top_k = 0;
  double top_p = 0.95;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  std::uint64_t seed = 0;
  std::vector<std::string> stop;
  bool ignore_eos = false;
  bool log_probabilities = false;
  std::string dtype = "fp32";
};

}  // namespace kinglet::cli
