#include "kinglet/train/trainer_folder.h"

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/io/safetensors.h"
#include "kinglet/io/torch_file.h"
#include "kinglet/nn/tensor_io.h"
#include "kinglet/train/torch_compat.h"

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

// {'state': {i: {'step', 'exp_avg', 'exp_avg_sq'}}, 'param_groups': [{...}]} as torch.optim.AdamW.state_dict() has it.
void write_optimizer(const fs::path& path, const TrainingState& state) {
  TorchFileWriter writer;
  PickleBuilder& b = writer.builder;
  const auto named = state.model.named_parameters();
  std::vector<at::Tensor> steps;  // alive until the file is written
  steps.reserve(named.size());
  std::vector<std::pair<PickleValue*, PickleValue*>> entries;
  std::vector<PickleValue*> ids, names;
  for (const auto& item : named) {
    const auto id = static_cast<std::int64_t>(ids.size());
    ids.push_back(b.integer(id));
    names.push_back(b.string(item.key()));
    const AdamWState* moments = state_of(state.optimizer, item.value());
    if (moments == nullptr) continue;
    const auto tensor = [&](const at::Tensor& value) {
      const TensorView view = view_of(item.key(), value);
      return writer.add_tensor(view.dtype, view.shape, view.data);
    };
    steps.push_back(torch::tensor(static_cast<float>(moments->step())));
    entries.emplace_back(b.integer(id), b.dict({{b.string("step"), tensor(steps.back())},
                                                {b.string("exp_avg"), tensor(moments->exp_avg())},
                                                {b.string("exp_avg_sq"), tensor(moments->exp_avg_sq())}}));
  }
  const auto& options = options_of(state.optimizer);
  const auto [beta1, beta2] = options.betas();
  PickleValue* group = b.dict({{b.string("lr"), b.number(options.lr())},
                               {b.string("betas"), b.tuple({b.number(beta1), b.number(beta2)})},
                               {b.string("eps"), b.number(options.eps())},
                               {b.string("weight_decay"), b.number(options.weight_decay())},
                               {b.string("amsgrad"), b.boolean(options.amsgrad())},
                               {b.string("maximize"), b.boolean(false)},
                               {b.string("foreach"), b.none()},
                               {b.string("capturable"), b.boolean(false)},
                               {b.string("differentiable"), b.boolean(false)},
                               {b.string("fused"), b.none()},
                               {b.string("param_names"), b.list(names)},
                               {b.string("params"), b.list(ids)}});
  PickleValue* root = b.dict({{b.string("state"), b.dict(entries)}, {b.string("param_groups"), b.list({group})}});
  std::move(writer).write(path, root);
}

void write_scheduler(const fs::path& path, const TrainingState& state) {
  TorchFileWriter writer;
  PickleBuilder& b = writer.builder;
  PickleValue* root = b.dict({{b.string("last_epoch"), b.integer(state.step)},
                              {b.string("_step_count"), b.integer(state.step + 1)},
                              {b.string("_last_lr"), b.list({b.number(options_of(state.optimizer).lr())})}});
  std::move(writer).write(path, root);
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

double number_of(const PickleValue* value, const fs::path& path, std::string_view key) {
  if (value != nullptr && value->kind == PickleKind::kFloat) return value->number;
  if (value != nullptr && value->kind == PickleKind::kInt) return static_cast<double>(value->integer);
  throw bad_input(path.string(), fmt::format("param_groups has no number '{}'", key), "expected AdamW's state_dict()");
}

at::Tensor tensor_of(const TorchFile& file, const PickleValue* value, const fs::path& path, const std::string& name) {
  const TorchTensor* tensor = value == nullptr ? nullptr : file.tensor(value);
  if (tensor == nullptr) throw bad_input(path.string(), fmt::format("tensor {} is missing", name));
  return to_tensor({name, tensor->dtype, tensor->shape, file.contiguous_bytes(*tensor)});
}

void read_optimizer(const fs::path& path, TrainingState& state) {
  const TorchFile file = TorchFile::open(path);
  const PickleValue* entries = file.root()->find("state");
  const PickleValue* groups = file.root()->find("param_groups");
  if (entries == nullptr || groups == nullptr || groups->items.size() != 1) {
    throw bad_input(path.string(), "not the state of an AdamW with one parameter group");
  }
  options_of(state.optimizer).lr(number_of(groups->items[0]->find("lr"), path, "lr"));
  std::map<std::int64_t, const PickleValue*> by_id;
  for (std::size_t i = 0; i + 1 < entries->items.size(); i += 2) {
    if (entries->items[i]->kind == PickleKind::kInt) by_id[entries->items[i]->integer] = entries->items[i + 1];
  }
  std::int64_t id = 0;
  for (const auto& item : state.model.named_parameters()) {
    const auto found = by_id.find(id++);
    if (found == by_id.end()) continue;  // a parameter that never had a gradient
    const auto tensor = [&](const char* key) {
      return tensor_of(file, found->second->find(key), path, item.key() + "." + key);
    };
    auto moments = std::make_unique<AdamWState>();
    moments->step(static_cast<std::int64_t>(tensor("step").item<double>()));
    at::Tensor first = torch::zeros_like(item.value()), second = torch::zeros_like(item.value());
    copy_into(first, tensor("exp_avg"), item.key() + ".exp_avg", path);
    copy_into(second, tensor("exp_avg_sq"), item.key() + ".exp_avg_sq", path);
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
  write_scheduler(folder / "scheduler.pt", state);
  // Last, because tools that watch a run take this file as the sign of a complete checkpoint.
  const nlohmann::ordered_json summary = {{"global_step", state.step}};
  write_file_atomically(folder / "trainer_state.json", as_bytes(summary.dump(2) + "\n"));
}

void load_training_state(const fs::path& folder, TrainingState& state, bool with_optimizer) {
  read_model(folder / "model.safetensors", state.model);
  const fs::path summary_path = folder / "trainer_state.json";
  const auto summary = nlohmann::json::parse(as_text(read_file(summary_path, 1 << 26)), nullptr, false);
  if (!summary.is_object() || !summary.contains("global_step") || !summary["global_step"].is_number_integer()) {
    throw bad_input(summary_path.string(), "no integer global_step");
  }
  state.step = summary["global_step"].get<std::int64_t>();
  if (with_optimizer) read_optimizer(folder / "optimizer.pt", state);
}

}  // namespace kinglet
