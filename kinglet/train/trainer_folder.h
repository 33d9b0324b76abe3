// A training state as a Hugging Face Trainer checkpoint folder, so that PyTorch reads what we write and we read what
// PyTorch wrote:
//
//   model.safetensors    parameters and buffers by name
//   optimizer.pt         torch.save of AdamW's state_dict(), one group, with param_names
//   scheduler.pt         torch.save of {"last_epoch": step, "_last_lr": [lr]}
//   trainer_state.json   {"global_step": step, ...}
#pragma once

#include <cstdint>
#include <filesystem>

#include <torch/optim/adamw.h>

namespace kinglet {

struct TrainingState {
  torch::nn::Module& model;
  torch::optim::AdamW& optimizer;  // one parameter group, parameters in model.named_parameters() order
  std::int64_t step = 0;           // finished optimizer steps
};

// Writes the files into `folder` (created when missing), each atomically. fp32 CPU parameters.
void save_training_state(const std::filesystem::path& folder, const TrainingState& state);

// Restores parameters, buffers, moments, step counters and the learning rate. Every parameter must be there with the
// right shape; raises Error (bad input) naming the tensor otherwise. `with_optimizer` = false leaves the optimizer as
// it is (the "dropped optimizer" control).
void load_training_state(const std::filesystem::path& folder, TrainingState& state, bool with_optimizer = true);

}  // namespace kinglet
