// Checkpoints of LanguageTrainer.
#include <torch/torch.h>

#include "kinglet/base/error.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/train/adamw_file.h"
#include "kinglet/train/language_trainer.h"
#include "kinglet/train/trainer_files.h"

namespace kinglet {
namespace fs = std::filesystem;

namespace {

// As Trainer groups them: what decays, then what does not.
std::vector<AdamWGroup> groups_of(const Decoder& decoder, const AdamW& optimizer, double lr) {
  const auto first = to_file_layout(decoder, optimizer.first_moments());
  const auto second = to_file_layout(decoder, optimizer.second_moments());
  const AdamWSettings& settings = optimizer.settings();
  std::vector<AdamWGroup> groups(2, {lr, settings.beta1, settings.beta2, settings.eps, 0.0, false, {}});
  groups[0].weight_decay = settings.weight_decay;
  for (std::size_t i = 0; i < first.size(); ++i) {
    AdamWGroup& group = groups[first[i].value.dim() >= 2 ? 0 : 1];
    group.entries.push_back({first[i].name, true, optimizer.steps(), first[i].value, second[i].value});
  }
  return groups;
}

}  // namespace

void LanguageTrainer::save(const fs::path& folder) const {
  const at::NoGradGuard no_grad;
  const std::int64_t step = optimizer_.steps();
  const double lr = settings_.learning_rate(step);
  const std::vector<AdamWGroup> groups = groups_of(*decoder_, optimizer_, lr);
  save_decoder(folder, *decoder_, "float32");
  write_adamw(folder / "optimizer.pt", groups);
  write_scheduler(folder / "scheduler.pt", step, lr, static_cast<int>(groups.size()));
  if (settings_.objective) settings_.objective->save(folder);
  write_trainer_state(folder, {step, fingerprint()});
}

void LanguageTrainer::load(const fs::path& folder) {
  const at::NoGradGuard no_grad;
  const TrainerState state = read_trainer_state(folder);
  if (!state.data.empty() && state.data != fingerprint()) {
    throw bad_input((folder / "trainer_state.json").string(), "the training data is not that of the checkpoint",
                    "go on with the same files, batch, window and seed, or begin a new run from the model alone");
  }
  const fs::path optimizer_path = folder / "optimizer.pt";
  std::vector<NamedWeight> first, second;
  for (const AdamWGroup& group : read_adamw(optimizer_path)) {
    for (const AdamWEntry& entry : group.entries) {
      if (!entry.has_state) continue;
      first.push_back({entry.name, entry.first_moment});
      second.push_back({entry.name, entry.second_moment});
    }
  }
  load_decoder_weights(ModelWeights::open(folder), *decoder_, WeightType::kFloat32);
  from_file_layout(*decoder_, first, optimizer_.first_moments(), optimizer_path.string());
  from_file_layout(*decoder_, second, optimizer_.second_moments(), optimizer_path.string());
  if (settings_.objective) settings_.objective->load(folder);
  optimizer_.set_steps(state.step);
}

}  // namespace kinglet
