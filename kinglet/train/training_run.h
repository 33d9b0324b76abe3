// The course of a training run: steps, evaluations, checkpoints, resuming, stopping.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "kinglet/train/checkpoint_sink.h"
#include "kinglet/train/language_trainer.h"

namespace kinglet {

struct RunSettings {
  std::int64_t steps = 0;           // the run ends here
  std::int64_t save_every = 0;      // steps; 0: only at the end
  std::int64_t evaluate_every = 0;  // steps, and at the end; 0: never
  std::int64_t evaluation_batches = 8;
  // The run ends early after so many evaluations in a row without a new lowest loss; 0: never.
  std::int64_t patience = 0;
  std::vector<double> earlier_evaluations;  // losses before the checkpoint that the run goes on from, in order
};

struct EvaluationReport {
  std::int64_t step = 0;
  double loss = 0.0;
  bool is_best = false;  // lower than every evaluation before
};

// What the caller wants to hear of; each may be empty.
struct RunEvents {
  std::function<void(const StepReport&)> on_step;
  std::function<void(const EvaluationReport&)> on_evaluation;
  std::function<void(std::int64_t step)> on_checkpoint;  // it is safe now
};

// Goes on from the newest checkpoint of the sink, if it has one, up to settings.steps or to the end of patience;
// returns the number of the step it began with. The last step is always saved. After SIGINT or SIGTERM
// (base/interrupt.h) the current step is finished and saved, and an Error of kind kInterrupted is raised: the same call
// goes on later. When saving fails (a full disk), the error leaves and what was saved before stays.
//
// In a run of several processes each calls it; the sink belongs to rank 0 and is null for the others, whose state is
// made that of rank 0. All stop together.
std::int64_t run_training(LanguageTrainer& trainer, const RunSettings& settings, CheckpointSink* sink,
                          const LanguageData* evaluation_data = nullptr, const RunEvents& events = {});

}  // namespace kinglet
