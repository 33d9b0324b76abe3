// kinglet inspect --cost
#pragma once

#include <cstdint>
#include <string>

namespace kinglet::cli {

// Prints what the model of a folder or config.json costs on a sequence of `tokens`.
void print_model_cost(const std::string& path, std::int64_t tokens, bool json);

}  // namespace kinglet::cli
