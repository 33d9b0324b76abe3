// Checkpoints of LanguageTrainer.
#include <nlohmann/json.hpp>

#include <fmt/format.h>
#include <torch/torch.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/io/torch_file.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/train/adamw_file.h"
#include "kinglet/train/language_trainer.h"

namespace kinglet {
namespace fs = std::filesystem;

namespace {

void write_scheduler(const fs::path& path, std::int64_t step, double lr) {
  TorchFileWriter writer;
  PickleBuilder& b = writer.builder;
  PickleValue* const root = b.dict({{b.string("last_epoch"), b.integer(step)},
                                    {b.string("_step_count"), b.integer(step + 1)},
                                    {b.string("_last_lr"), b.list({b.number(lr), b.number(lr)})}});
  std::move(writer).write(path, root);
}

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

nlohmann::json read_state(const fs::path& path) {
  const auto state = nlohmann::json::parse(as_text(read_file(path, 1 << 26)), nullptr, false);
  if (!state.is_object() || !state.contains("global_step") || !state["global_step"].is_number_integer()) {
    throw bad_input(path.string(), "no integer global_step", "this is no complete checkpoint");
  }
  return state;
}

}  // namespace

void LanguageTrainer::save(const fs::path& folder) const {
  const at::NoGradGuard no_grad;
  const std::int64_t step = optimizer_.steps();
  const double lr = settings_.learning_rate(step);
  save_decoder(folder, *decoder_, "float32");
  write_adamw(folder / "optimizer.pt", groups_of(*decoder_, optimizer_, lr));
  write_scheduler(folder / "scheduler.pt", step, lr);
  // Last, because tools that watch a run take this file as the sign of a complete checkpoint.
  const nlohmann::ordered_json state = {{"global_step", step}, {"data", data_->fingerprint()}};
  write_file_atomically(folder / "trainer_state.json", as_bytes(state.dump(2) + "\n"));
}

void LanguageTrainer::load(const fs::path& folder) {
  const at::NoGradGuard no_grad;
  const fs::path state_path = folder / "trainer_state.json";
  const nlohmann::json state = read_state(state_path);
  if (state.contains("data") && state["data"] != data_->fingerprint()) {
    throw bad_input(state_path.string(), "the training data is not that of the checkpoint",
                    "go on with the same files, batch, window and seed, or begin a new run from the model alone");
  }
  const std::vector<AdamWGroup> groups = read_adamw(folder / "optimizer.pt");
  load_decoder_weights(ModelWeights::open(folder), *decoder_, WeightType::kFloat32);
  auto first = optimizer_.first_moments(), second = optimizer_.second_moments();
  std::size_t restored = 0;
  for (const AdamWGroup& group : groups) {
    for (const AdamWEntry& entry : group.entries) {
      if (!entry.has_state) continue;
      from_file_layout(*decoder_, entry.name, entry.first_moment, first);
      from_file_layout(*decoder_, entry.name, entry.second_moment, second);
      ++restored;
    }
  }
  if (restored != file_weights(*decoder_).size()) {
    throw bad_input((folder / "optimizer.pt").string(), "it does not hold the moments of every parameter",
                    "resume from a complete checkpoint");
  }
  optimizer_.set_steps(state["global_step"].get<std::int64_t>());
}

}  // namespace kinglet
