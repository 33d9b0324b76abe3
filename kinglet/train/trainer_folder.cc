#include "kinglet/train/trainer_folder.h"

#include <map>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/safetensors.h"
#include "kinglet/nn/tensor_io.h"
#include "kinglet/train/adamw_file.h"
#include "kinglet/train/torch_compat.h"
#include "kinglet/train/trainer_files.h"

namespace kinglet {
namespace fs = std::filesystem;

namespace {

using AdamWState = torch::optim::AdamWParamState;

AdamWState* state_of(torch::optim::AdamW& optimizer, const at::Tensor& parameter) {
  const auto found = optimizer.state().find(optimizer_state_key(parameter));
  return found == optimizer.state().end() ? nullptr : static_cast<AdamWState*>(found->second.get());
}

torch::optim::AdamWOptions& options_of(torch::optim::AdamW& optimizer) {
  return static_cast<torch::optim::AdamWOptions&>(optimizer.param_groups().at(0).options());
}

void write_optimizer(const fs::path& path, const TrainingState& state) {
  const auto& options = options_of(state.optimizer);
  const auto [beta1, beta2] = options.betas();
  AdamWGroup group{options.lr(), beta1, beta2, options.eps(), options.weight_decay(), options.amsgrad(), {}};
  for (const auto& item : state.model.named_parameters()) {
    const AdamWState* moments = state_of(state.optimizer, item.value());
    if (moments == nullptr) {
      group.entries.push_back({item.key(), false, 0, {}, {}});
    } else {
      group.entries.push_back({item.key(), true, moments->step(), moments->exp_avg(), moments->exp_avg_sq()});
    }
  }
  write_adamw(path, {group});
}

void copy_into(at::Tensor& target, const at::Tensor& source, const std::string& name, const fs::path& file) {
  if (target.sizes() != source.sizes()) {
    throw bad_input(file.string(), fmt::format("tensor {} has another shape than the model's", name),
                    "load it into the model it was trained with");
  }
  target.copy_(source);
}

void read_model(const fs::path& path, torch::nn::Module& model) {
  const SafetensorsFile file(path);
  std::map<std::string, TensorView> tensors;
  for (const TensorView& view : file.tensors()) tensors.emplace(view.name, view);
  const torch::NoGradGuard no_grad;
  const auto restore = [&](const auto& items) {
    for (const auto& item : items) {
      const auto found = tensors.find(item.key());
      if (found == tensors.end()) throw bad_input(path.string(), fmt::format("tensor {} is missing", item.key()));
      at::Tensor target = item.value();
      copy_into(target, to_tensor(found->second), item.key(), path);
    }
  };
  restore(model.named_parameters());
  restore(model.named_buffers());
}

void read_optimizer(const fs::path& path, TrainingState& state) {
  const std::vector<AdamWGroup> groups = read_adamw(path);
  if (groups.size() != 1) throw bad_input(path.string(), "not the state of an AdamW with one parameter group");
  options_of(state.optimizer).lr(groups[0].lr);
  std::size_t number = 0;
  for (const auto& item : state.model.named_parameters()) {
    if (number == groups[0].entries.size()) break;
    const AdamWEntry& entry = groups[0].entries[number++];
    if (!entry.has_state) continue;  // a parameter that never had a gradient
    auto moments = std::make_unique<AdamWState>();
    moments->step(entry.step);
    at::Tensor first = torch::zeros_like(item.value()), second = torch::zeros_like(item.value());
    copy_into(first, entry.first_moment, item.key() + ".exp_avg", path);
    copy_into(second, entry.second_moment, item.key() + ".exp_avg_sq", path);
    moments->exp_avg(first);
    moments->exp_avg_sq(second);
    state.optimizer.state()[optimizer_state_key(item.value())] = std::move(moments);
  }
}

}  // namespace

void save_training_state(const fs::path& folder, const TrainingState& state) {
  fs::create_directories(folder);
  std::vector<TensorView> tensors;
  for (const auto& item : state.model.named_parameters()) tensors.push_back(view_of(item.key(), item.value()));
  for (const auto& item : state.model.named_buffers()) tensors.push_back(view_of(item.key(), item.value()));
  write_safetensors(folder / "model.safetensors", tensors);
  write_optimizer(folder / "optimizer.pt", state);
  write_scheduler(folder / "scheduler.pt", state.step, options_of(state.optimizer).lr(), 1);
  write_trainer_state(folder, {state.step, {}});
}

void load_training_state(const fs::path& folder, TrainingState& state, bool with_optimizer) {
  read_model(folder / "model.safetensors", state.model);
  state.step = read_trainer_state(folder).step;
  if (with_optimizer) read_optimizer(folder / "optimizer.pt", state);
}

}  // namespace kinglet
