// Checkpoints of LanguageTrainer.
#include <map>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/torch.h"
#include "kinglet/train/adamw_file.h"
#include "kinglet/train/language_trainer.h"
#include "kinglet/train/trainer_files.h"

namespace kinglet {
namespace fs = std::filesystem;

namespace {

// Row-sparse parameters stand in the file as they are, under one name.
std::map<std::string, at::Tensor> row_steps_by_file_name(const Decoder& decoder, const AdamW& optimizer) {
  const auto by_parameter = optimizer.row_steps();
  std::map<std::string, at::Tensor> by_name;
  for (const WeightEntry& entry : weight_entries_of(decoder)) {
    for (const std::string& parameter : entry.parameters) {
      const auto found = by_parameter.find(parameter);
      if (found == by_parameter.end()) continue;
      TORCH_CHECK(entry.layout == WeightLayout::kPlain, parameter, " is packed in the file and cannot be row-sparse");
      by_name.emplace(entry.name, found->second);
    }
  }
  return by_name;
}

// The state of a row-sparse run continues only as row-sparse, and a dense one as dense.
void restore_row_steps(const std::map<std::string, at::Tensor>& wanted, const std::vector<AdamWGroup>& groups,
                       const std::string& where) {
  for (const AdamWGroup& group : groups) {
    for (const AdamWEntry& entry : group.entries) {
      const auto found = wanted.find(entry.name);
      if (entry.row_steps.defined() == (found != wanted.end())) {
        if (found == wanted.end()) continue;
        if (entry.row_steps.sizes() != found->second.sizes() || entry.row_steps.scalar_type() != at::kInt) {
          throw bad_input(where, fmt::format("{}: row_step does not fit", entry.name),
                          "is it a checkpoint of this model?");
        }
        at::Tensor(found->second).copy_(entry.row_steps);
        continue;
      }
      const bool sparse = entry.row_steps.defined();
      throw bad_input(where,
                      fmt::format("{} was trained {}, this run is {}", entry.name, sparse ? "row-sparse" : "dense",
                                  sparse ? "dense" : "row-sparse"),
                      "go on with the same setting, or begin a new run from the model alone");
    }
  }
}

// As Trainer groups them: what decays, then what does not.
std::vector<AdamWGroup> groups_of(const Decoder& decoder, const AdamW& optimizer, double lr) {
  const auto first = to_file_layout(decoder, optimizer.first_moments());
  const auto second = to_file_layout(decoder, optimizer.second_moments());
  const auto by_row = row_steps_by_file_name(decoder, optimizer);
  const AdamWSettings& settings = optimizer.settings();
  std::vector<AdamWGroup> groups(2, {lr, settings.beta1, settings.beta2, settings.eps, 0.0, false, {}});
  groups[0].weight_decay = settings.weight_decay;
  for (std::size_t i = 0; i < first.size(); ++i) {
    AdamWGroup& group = groups[first[i].value.dim() >= 2 ? 0 : 1];
    group.entries.push_back({first[i].name, true, optimizer.steps(), first[i].value, second[i].value, {}});
    if (const auto found = by_row.find(first[i].name); found != by_row.end()) {
      group.entries.back().row_steps = found->second;
    }
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
  const std::vector<AdamWGroup> groups = read_adamw(optimizer_path);
  for (const AdamWGroup& group : groups) {
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
  restore_row_steps(row_steps_by_file_name(*decoder_, optimizer_), groups, optimizer_path.string());
  optimizer_.set_steps(state.step);
}

}  // namespace kinglet
