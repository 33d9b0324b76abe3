// Training of a decoder language model: gradient accumulation, clipping, AdamW, exact checkpoints.
//
// Every number that a step depends on is in the checkpoint or in the settings: weights, moments, and the number of
// finished steps, from which the learning rate and the data follow. A run that resumes is the uninterrupted run to the
// last bit, with the same number of threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

#include "kinglet/models/decoder/decoder.h"
#include "kinglet/nn/precision.h"
#include "kinglet/train/adamw.h"
#include "kinglet/train/gradient_buckets.h"
#include "kinglet/train/language_data.h"
#include "kinglet/train/language_objective.h"
#include "kinglet/train/process_group.h"

namespace kinglet {

struct LanguageSettings {
  std::int64_t accumulation = 1;  // batches a step
  double clip = 1.0;              // largest norm of the gradient; 0: no clipping
  nn::Precision precision = nn::Precision::kFloat32;
  AdamWSettings optimizer;
  std::function<double(std::int64_t step)> learning_rate;  // of step 0, 1, 2 ...
  std::shared_ptr<LanguageObjective> objective;            // null: the loss of the next token; not with a group
};

struct StepReport {
  std::int64_t step = 0;       // finished steps, this one among them
  double loss = 0.0;           // mean over the counted tokens, before the step
  double gradient_norm = 0.0;  // before clipping
  double lr = 0.0;
  std::int64_t tokens = 0;  // read in this step, by all processes
  bool stop = false;        // this process or another was asked to end (base/interrupt.h)
};

class LanguageTrainer {
 public:
  // With a group, `world` processes share every step: process r takes batches r, r + world ... of it. W processes that
  // accumulate A batches make the steps of one process that accumulates W A, up to the order of additions.
  LanguageTrainer(std::shared_ptr<Decoder> decoder, std::shared_ptr<const LanguageData> data, LanguageSettings settings,
                  std::shared_ptr<ProcessGroup> group = nullptr);

  // One optimizer step. A loss or gradient that is not finite raises Error (failed) naming the step, and changes
  // neither weights nor moments.
  StepReport step();
  std::int64_t steps() const { return optimizer_.steps(); }

  // Weights, moments and step number of rank 0, on every process. Called by all of them; nothing without a group.
  void synchronize();
  bool is_first() const { return group_ == nullptr || group_->rank() == 0; }

  // Mean loss over batches 0 .. count - 1 of other data, without gradients.
  double evaluate(const LanguageData& data, std::int64_t count) const;

  // A Hugging Face folder with what Trainer keeps beside it: config.json, model.safetensors, optimizer.pt,
  // scheduler.pt, trainer_state.json (last). Tensors and moments under the family's names and layouts.
  void save(const std::filesystem::path& folder) const;
  // Raises Error (bad input) when something is missing, has another shape, or the data is not that of the checkpoint.
  void load(const std::filesystem::path& folder);

  Decoder& decoder() { return *decoder_; }
  const AdamW& optimizer() const { return optimizer_; }

 private:
  BatchLoss token_loss(const LanguageBatch& batch) const;
  BatchLoss training_loss(const LanguageBatch& batch, std::int64_t number) const;
  void clear_gradients();
  // Of the decoder and of what the objective learns.
  double gradient_norm() const;
  void update(double lr, double gradient_scale);
  std::string fingerprint() const;  // of the data and the objective

  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<const LanguageData> data_;
  LanguageSettings settings_;
  AdamW optimizer_;
  std::shared_ptr<ProcessGroup> group_;
  std::unique_ptr<GradientBuckets> buckets_;  // with a group
};

}  // namespace kinglet
