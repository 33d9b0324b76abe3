// DeepSpeed ZeRO optimizer files (`*zero_pp_rank_R_mp_rank_M_optim_states.pt`): per rank and parameter group one flat
// fp32 vector of trained weights with exp_avg and exp_avg_sq of the same length.
//
//   ZeRO-1/2  optimizer_state_dict: single_partition_of_fp32_groups[g], base_optimizer_state.state[g]
//   ZeRO-3    optimizer_state_dict: fp32_flat_groups[g], optimizer_state_dict.state[g]
//
// The vectors are taken as they are, one parameter a vector: how DeepSpeed cuts the model's tensors into them does not
// matter for compression, and every rank's file is rebuilt byte by byte.
#pragma once

#include <vector>

#include "kinglet/io/torch_file.h"

namespace kinglet {

struct ZeroVectors {
  std::size_t group = 0;
  const TorchTensor* weight = nullptr;
  const TorchTensor* first_moment = nullptr;   // nullptr before the first step
  const TorchTensor* second_moment = nullptr;  // nullptr for optimizers with one moment
};

// Empty when the file is no ZeRO optimizer file. The tensors live as long as `file`.
std::vector<ZeroVectors> find_zero_vectors(const TorchFile& file);

}  // namespace kinglet
