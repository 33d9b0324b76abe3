// The checkpoints of a training run, as trainers leave them side by side in one folder.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "kinglet/methods/excp/manifest.h"

namespace kinglet::excp {

struct RunCheckpoint {
  std::int64_t step = 0;
  std::filesystem::path path;
};

// The direct children of `run` whose names tell a step, ascending: folders ("checkpoint-500", "global_step500",
// "iter_0000500"), or, where there are none, files ("model-500.pt"). Empty when there is nothing yet.
// Raises Error (bad input) when `run` is no folder or two checkpoints have the same step.
std::vector<RunCheckpoint> find_run_checkpoints(const std::filesystem::path& run);

// What is left to do for a store that holds `stored`.
struct RunPlan {
  std::vector<RunCheckpoint> to_add;   // newer than everything stored
  std::vector<RunCheckpoint> stored;   // their step is in the store
  std::vector<RunCheckpoint> too_old;  // not stored, but older than the newest step: a chain only grows at its end
};
RunPlan plan_run(const std::vector<RunCheckpoint>& checkpoints, const std::vector<StepInfo>& stored);

using FileClock = std::chrono::system_clock;

// When anything in the file or folder was last written, created or removed (the latest st_ctim, which programs cannot
// set back). Entries that vanish while we look count as a change now.
FileClock::time_point last_change(const std::filesystem::path& path);

enum class Completeness {
  kComplete,
  kChanging,    // written less than `settle` ago
  kUnfinished,  // settled, but a Hugging Face folder (it has training_args.bin) without its last file,
                // trainer_state.json
};
Completeness completeness(const std::filesystem::path& checkpoint, std::chrono::duration<double> settle,
                          FileClock::time_point now);

// Which of `to_add` (ascending) can be added now. The first one that is not complete holds up the later ones, because
// a chain only grows at its end; only where a later one is complete already, an unfinished one is an abandoned one.
struct ReadyCheckpoints {
  std::vector<RunCheckpoint> ready;
  std::vector<RunCheckpoint> abandoned;
};
ReadyCheckpoints find_ready(const std::vector<RunCheckpoint>& to_add, std::chrono::duration<double> settle,
                            FileClock::time_point now);

}  // namespace kinglet::excp
