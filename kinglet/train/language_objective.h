// What a training step makes small, where it is not the loss of the next token: distillation, for example.
// [the LanguageObjective plug]
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "kinglet/models/decoder/decoder.h"
#include "kinglet/train/adamw.h"
#include "kinglet/train/language_data.h"

namespace kinglet {

struct BatchLoss {
  at::Tensor sum;            // over the counted tokens, fp32 scalar with autograd
  std::int64_t counted = 0;  // the step's gradient is that of the sums divided by all that was counted
};

class LanguageObjective {
 public:
  virtual ~LanguageObjective() = default;

  // The loss of batch `number` of the trainer's data, which is `batch`. Whatever is random follows from the number.
  virtual BatchLoss loss(Decoder& decoder, const LanguageBatch& batch, std::int64_t number) = 0;

  // What the objective learns beside the decoder, and at which rate; its gradients are clipped together with the
  // decoder's. Null: nothing.
  virtual AdamW* optimizer() { return nullptr; }
  virtual double learning_rate(std::int64_t /*step*/) const { return 0.0; }

  // State that a step depends on, beside the decoder's, as files of a checkpoint folder.
  virtual void save(const std::filesystem::path& /*folder*/) const {}
  virtual void load(const std::filesystem::path& /*folder*/) {}
  // Changes when a checkpoint of another objective could not go on with this one.
  virtual std::string fingerprint() const { return {}; }
};

}  // namespace kinglet
