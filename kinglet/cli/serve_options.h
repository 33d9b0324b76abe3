// Options of `kinglet serve` and `kinglet chat`, shared by the light program and the LibTorch module.
#pragma once

#include <cstdint>
#include <string>

#include "kinglet/serve/run_server.h"

namespace kinglet::cli {

struct ServedModelOptions {
  std::string model;
  std::string chat_template;  // a file; empty: the model's own
  std::string dtype = "fp32";
  std::int64_t context = 0;  // most tokens of a prompt and its answer; 0: the model's positions

  bool operator==(const ServedModelOptions&) const = default;
};

struct ServeOptions {
  ServedModelOptions model;
  std::string name;           // as clients ask for it; empty: that of the folder or file
  std::int64_t parallel = 8;  // sequences in the batch
  ServerSettings server;
};

}  // namespace kinglet::cli
