#include "kinglet/io/state_dicts.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kinglet/base/error.h"
#include "kinglet/io/file_names.h"
#include "kinglet/io/module_order.h"

namespace kinglet {
namespace {

constexpr int kMaxDictDepth = 4;  // of state dicts below the root of a file

bool is_trainable(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16 || dtype == DType::kF64;
}

bool may_be_parameter(std::string_view name, DType dtype, const std::vector<std::int64_t>& shape) {
  const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  return is_trainable(dtype) && !empty && !is_buffer_name(name, shape.size());
}

// How likely a file or a key holds the model that is trained.
int rank_of_file(std::string_view name) {
  const std::string_view base = base_name(name);
  if (base.starts_with("model") && base.ends_with(".safetensors")) return 0;
  if (base.ends_with(".safetensors")) return 1;
  if (base.starts_with("pytorch_model")) return 2;
  return 3;
}

int rank_of_key(std::string_view key) {
  static constexpr std::array<std::string_view, 8> kModelKeys = {"model", "state_dict", "model_state_dict", "module",
                                                                 "net",   "network",    "model_state",      "weights"};
  if (key.find("ema") != std::string_view::npos) return 20;
  return std::find(kModelKeys.begin(), kModelKeys.end(), key) != kModelKeys.end() ? 0 : 10;
}

// ---- safetensors -----------------------------------------------------------------------------------------------

std::string shard_group(std::string_view name) {
  // "model-00001-of-00003.safetensors" -> "model"; files of one group are one model
  const std::size_t of = name.rfind("-of-");
  const std::size_t dash = of == std::string_view::npos ? of : name.rfind('-', of - 1);
  if (of == std::string_view::npos || of == 0 || dash == std::string_view::npos) return std::string(name);
  return std::string(name.substr(0, dash)).append(base_name(name).ends_with(".bin") ? ".bin" : "");
}

void add_safetensors(const CheckpointFile& file, std::size_t index, WeightSource& source) {
  std::size_t region = 0;  // entries and regions ascend together; empty entries have none
  for (const SafetensorsEntry& entry : file.safetensors->entries) {
    if (entry.begin == entry.end) continue;
    const RegionRef place{index, region++};
    if (!may_be_parameter(entry.name, entry.dtype, entry.shape)) continue;
    source.tensors.push_back({entry.name, {entry.shape, entry.dtype, place}});
  }
}

// ---- torch.save trees ------------------------------------------------------------------------------------------

bool is_optimizer(const PickleValue* value) {
  const PickleValue* groups = dict_find(value, "param_groups");
  return dict_find(value, "state") != nullptr && groups != nullptr && groups->kind == PickleKind::kList;
}

class TreeReader {
 public:
  TreeReader(const CheckpointFile& file, std::size_t index, StateDicts& found)
      : file_(file), index_(index), found_(found) {}

  void read(const PickleValue* value, const std::string& path, int rank, int depth) {
    if (depth > kMaxDictDepth || !visited_.insert(value).second) return;
    if (is_optimizer(value)) {
      read_optimizer(value, path);
      return;
    }
    const auto items = dict_items(value);
    const bool has_tensors = std::any_of(items.begin(), items.end(), [&](const auto& item) {
      return item.first->kind == PickleKind::kString && file_.torch->tensor(item.second) != nullptr;
    });
    if (has_tensors || (depth > 0 && rank == rank_of_file(file_.layout.name))) {
      WeightSource source{file_.layout.name, location(path), rank, true, {}};
      collect_items(value, "", depth, source);
      if (!source.tensors.empty()) found_.weights.push_back(std::move(source));
      return;
    }
    for (const auto& [key, child] : items) {
      if (key->kind != PickleKind::kString) continue;
      read(child, path.empty() ? key->text : path + "." + key->text, rank + rank_of_key(key->text), depth + 1);
    }
  }

 private:
  std::string location(const std::string& path) const {
    return path.empty() ? file_.where : fmt::format("{} ({})", file_.where, path);
  }

  // All tensors below `value`, in the order of the dicts.
  void collect(const PickleValue* value, const std::string& prefix, int depth, WeightSource& source) {
    if (depth > kMaxDictDepth || !visited_.insert(value).second) return;
    if (is_optimizer(value))
      read_optimizer(value, prefix);
    else
      collect_items(value, prefix, depth, source);
  }

  void collect_items(const PickleValue* value, const std::string& prefix, int depth, WeightSource& source) {
    for (const auto& [key, child] : dict_items(value)) {
      if (key->kind != PickleKind::kString) continue;
      const std::string name = prefix.empty() ? key->text : prefix + "." + key->text;
      const TorchTensor* tensor = file_.torch->tensor(child);
      if (tensor == nullptr) {
        collect(child, name, depth + 1, source);
        continue;
      }
      if (!may_be_parameter(name, tensor->dtype, tensor->shape)) continue;
      if (!seen_.emplace(tensor->storage, tensor->storage_offset, tensor->shape, tensor->strides).second) continue;
      source.tensors.push_back({name, array_of(file_, index_, *tensor)});
    }
  }

  std::optional<ArrayRef> moment(const PickleValue* state, std::string_view key) const {
    const TorchTensor* tensor = file_.torch->tensor(dict_find(state, key));
    if (tensor == nullptr || !is_trainable(tensor->dtype)) return std::nullopt;
    return array_of(file_, index_, *tensor);
  }

  OptimizerEntry read_entry(const PickleValue* state) const {
    OptimizerEntry entry;
    entry.first_moment = moment(state, "exp_avg");
    entry.second_moment = moment(state, "exp_avg_sq");
    entry.max_second_moment = moment(state, "max_exp_avg_sq");
    if (!entry.first_moment) {
      entry.first_moment = moment(state, "momentum_buffer");
      entry.second_moment.reset();
      entry.max_second_moment.reset();
    }
    entry.momentum_only = entry.first_moment && !entry.second_moment;
    if (!entry.first_moment) {
      std::vector<std::string> others;  // of the tensors that are more than a step count
      for (const auto& [key, value] : dict_items(state)) {
        const TorchTensor* tensor = file_.torch->tensor(value);
        const bool array = tensor != nullptr && !tensor->shape.empty();
        if (array && key->kind == PickleKind::kString) others.push_back(key->text);
      }
      entry.other_state = fmt::format("{}", fmt::join(others, ", "));
    }
    return entry;
  }

  void read_optimizer(const PickleValue* value, const std::string& path) {
    std::map<std::pair<std::int64_t, std::string>, const PickleValue*> states;  // by number or by name
    for (const auto& [key, state] : dict_items(dict_find(value, "state"))) {
      if (key->kind == PickleKind::kInt) states[{key->integer, {}}] = state;
      if (key->kind == PickleKind::kString) states[{0, "\"" + key->text}] = state;
    }
    OptimizerSource source{file_.layout.name, location(path), {}};
    for (const PickleValue* group : dict_find(value, "param_groups")->items) {
      const PickleValue* ids = dict_find(group, "params");
      if (ids == nullptr || ids->kind != PickleKind::kList) {
        throw bad_input(source.where, "an optimizer group without a list of parameters",
                        "the file is damaged or was not written by torch.optim");
      }
      const PickleValue* names = dict_find(group, "param_names");
      const bool named =
          names != nullptr && names->kind == PickleKind::kList && names->items.size() == ids->items.size();
      auto& entries = source.groups.emplace_back();
      for (std::size_t i = 0; i < ids->items.size(); ++i) {
        const PickleValue* id = ids->items[i];
        const bool by_name = id->kind == PickleKind::kString;
        const auto state = states.find(by_name ? std::pair<std::int64_t, std::string>{0, "\"" + id->text}
                                               : std::pair<std::int64_t, std::string>{id->integer, {}});
        OptimizerEntry entry = state == states.end() ? OptimizerEntry{} : read_entry(state->second);
        if (by_name) entry.name = id->text;
        if (named && names->items[i]->kind == PickleKind::kString) entry.name = names->items[i]->text;
        entries.push_back(std::move(entry));
      }
    }
    found_.optimizers.push_back(std::move(source));
  }

  const CheckpointFile& file_;
  std::size_t index_;
  StateDicts& found_;
  std::set<const PickleValue*> visited_;  // shared containers are read once
  std::set<std::tuple<std::size_t, std::int64_t, std::vector<std::int64_t>, std::vector<std::int64_t>>> seen_;
};

// Shards of one torch model are read one by one; put them together in file order.
void join_shards(std::vector<WeightSource>& sources) {
  std::vector<WeightSource> joined;
  std::map<std::string, std::size_t> place;
  for (WeightSource& source : sources) {
    const std::string group = shard_group(source.file);
    const auto [known, fresh] = place.try_emplace(group, joined.size());
    if (fresh || group == source.file) {
      joined.push_back(std::move(source));
      continue;
    }
    auto& tensors = joined[known->second].tensors;
    std::move(source.tensors.begin(), source.tensors.end(), std::back_inserter(tensors));
  }
  sources = std::move(joined);
}

// ZeRO keeps the trained fp32 weights in the optimizer files; the model files beside them are rounded copies.
bool is_zero_model_file(const CheckpointFiles& files, std::string_view name) {
  if (!name.ends_with("_model_states.pt")) return false;
  return std::any_of(files.files.begin(), files.files.end(), [&](const CheckpointFile& file) {
    return file.layout.name.ends_with("_optim_states.pt") && folder_of(file.layout.name) == folder_of(name);
  });
}

}  // namespace

std::vector<std::pair<const PickleValue*, const PickleValue*>> dict_items(const PickleValue* value) {
  std::vector<std::pair<const PickleValue*, const PickleValue*>> pairs;
  if (value == nullptr || (value->kind != PickleKind::kDict && value->kind != PickleKind::kCall)) return pairs;
  const auto& flat = value->kind == PickleKind::kDict ? value->items : value->appended;
  for (std::size_t i = 0; i + 1 < flat.size(); i += 2) pairs.emplace_back(flat[i], flat[i + 1]);
  return pairs;
}

const PickleValue* dict_find(const PickleValue* value, std::string_view key) {
  for (const auto& [name, item] : dict_items(value)) {
    if (name->kind == PickleKind::kString && name->text == key) return item;
  }
  return nullptr;
}

ArrayRef array_of(const CheckpointFile& file, std::size_t file_index, const TorchTensor& tensor) {
  ArrayRef array{tensor.shape, tensor.dtype, std::nullopt};
  const auto region = file.storages.region_of_storage[tensor.storage];
  if (!region || !tensor.is_contiguous() || tensor.storage_offset != 0) return array;
  const Region& numbers = file.layout.regions[*region];
  const auto bytes = static_cast<std::uint64_t>(tensor.numel()) * item_size(tensor.dtype);
  if (numbers.dtype == tensor.dtype && numbers.bytes == bytes) array.region = RegionRef{file_index, *region};
  return array;
}

ArrayRef storage_array(const CheckpointFile& file, std::size_t file_index, const TorchTensor& tensor) {
  const auto region = file.storages.region_of_storage[tensor.storage];
  const bool flat = tensor.shape.size() == 1 && tensor.is_contiguous() && tensor.storage_offset == 0;
  if (!region || !flat || file.layout.regions[*region].dtype != tensor.dtype) return array_of(file, file_index, tensor);
  const std::uint64_t n = file.layout.regions[*region].bytes / item_size(tensor.dtype);
  return {{static_cast<std::int64_t>(n)}, tensor.dtype, RegionRef{file_index, *region}};
}

StateDicts find_state_dicts(const CheckpointFiles& files) {
  StateDicts found;
  std::map<std::string, std::size_t> models;  // shard group -> weights
  for (std::size_t i = 0; i < files.files.size(); ++i) {
    const CheckpointFile& file = files.files[i];
    if (!file.safetensors) continue;
    const auto [model, fresh] = models.try_emplace(shard_group(file.layout.name), found.weights.size());
    if (fresh) found.weights.push_back({file.layout.name, file.where, rank_of_file(file.layout.name), false, {}});
    add_safetensors(file, i, found.weights[model->second]);
  }
  for (std::size_t i = 0; i < files.files.size(); ++i) {
    const CheckpointFile& file = files.files[i];
    if (!file.torch || is_zero_model_file(files, file.layout.name)) continue;
    TreeReader(file, i, found).read(file.torch->root(), "", rank_of_file(file.layout.name), 0);
  }
  std::erase_if(found.weights, [](const WeightSource& source) { return source.tensors.empty(); });
  join_shards(found.weights);
  std::stable_sort(found.weights.begin(), found.weights.end(),
                   [](const WeightSource& a, const WeightSource& b) { return a.rank < b.rank; });
  return found;
}

}  // namespace kinglet
