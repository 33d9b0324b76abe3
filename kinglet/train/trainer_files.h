// The small files of a Hugging Face Trainer checkpoint, beside weights and optimizer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace kinglet {

// scheduler.pt: torch.save of {"last_epoch": step, "_step_count": step + 1, "_last_lr": [lr] * groups}.
void write_scheduler(const std::filesystem::path& path, std::int64_t step, double lr, int groups);

struct TrainerState {
  std::int64_t step = 0;  // "global_step": finished optimizer steps
  std::string data;       // "data": fingerprint of the training data; empty: not written
};

// trainer_state.json. Written last: tools that watch a run take it as the sign of a complete checkpoint.
void write_trainer_state(const std::filesystem::path& folder, const TrainerState& state);
// Raises Error (bad input) when there is no whole number of steps.
TrainerState read_trainer_state(const std::filesystem::path& folder);

}  // namespace kinglet
