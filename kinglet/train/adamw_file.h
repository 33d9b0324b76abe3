// optimizer.pt: the state of an AdamW as torch.optim.AdamW.state_dict() has it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace kinglet {

struct AdamWEntry {
  std::string name;  // of the parameter; kept as param_names
  bool has_state = true;
  std::int64_t step = 0;
  at::Tensor first_moment, second_moment;  // fp32, contiguous
  at::Tensor row_steps;  // int32 [rows] of a row-sparse parameter ("row_step" in the file), else undefined
};

struct AdamWGroup {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
  bool amsgrad = false;
  std::vector<AdamWEntry> entries;
};

// Writes atomically; parameters are numbered through the groups.
void write_adamw(const std::filesystem::path& path, const std::vector<AdamWGroup>& groups);
// Entries carry a name where the file has param_names. Raises Error (bad input) for anything else than AdamW's state.
std::vector<AdamWGroup> read_adamw(const std::filesystem::path& path);

}  // namespace kinglet
