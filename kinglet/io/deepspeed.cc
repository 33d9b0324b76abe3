#include "kinglet/io/deepspeed.h"

#include <map>

#include "kinglet/io/state_dicts.h"

namespace kinglet {
namespace {

// Parameter ids of all groups, one after another: the k-th belongs to the k-th flat vector.
std::vector<std::int64_t> parameter_ids(const PickleValue* optimizer) {
  std::vector<std::int64_t> ids;
  const PickleValue* groups = dict_find(optimizer, "param_groups");
  if (groups == nullptr || groups->kind != PickleKind::kList) return ids;
  for (const PickleValue* group : groups->items) {
    const PickleValue* params = dict_find(group, "params");
    if (params == nullptr || params->kind != PickleKind::kList) continue;
    for (const PickleValue* id : params->items) {
      if (id->kind == PickleKind::kInt) ids.push_back(id->integer);
    }
  }
  return ids;
}

std::uint64_t storage_length(const TorchFile& file, const TorchTensor& tensor) {
  return file.storages()[tensor.storage].bytes / item_size(tensor.dtype);
}

// The last rank's weights are often a view without the padding, its moments whole: the storages must be equally long.
bool same_length(const TorchFile& file, const TorchTensor* weight, const TorchTensor* moment) {
  return moment != nullptr && storage_length(file, *weight) == storage_length(file, *moment);
}

}  // namespace

std::vector<ZeroVectors> find_zero_vectors(const TorchFile& file) {
  const PickleValue* zero = dict_find(file.root(), "optimizer_state_dict");
  const PickleValue* flat = dict_find(zero, "single_partition_of_fp32_groups");
  const PickleValue* optimizer = dict_find(zero, "base_optimizer_state");
  if (flat == nullptr) {
    flat = dict_find(zero, "fp32_flat_groups");
    optimizer = dict_find(zero, "optimizer_state_dict");
  }
  if (flat == nullptr || (flat->kind != PickleKind::kList && flat->kind != PickleKind::kTuple)) return {};

  std::map<std::int64_t, const PickleValue*> states;
  for (const auto& [key, state] : dict_items(dict_find(optimizer, "state"))) {
    if (key->kind == PickleKind::kInt) states[key->integer] = state;
  }
  std::vector<std::int64_t> ids = parameter_ids(optimizer);
  if (ids.size() != flat->items.size()) {
    ids.clear();
    for (std::size_t g = 0; g < flat->items.size(); ++g) ids.push_back(static_cast<std::int64_t>(g));
  }

  std::vector<ZeroVectors> vectors;
  for (std::size_t g = 0; g < flat->items.size(); ++g) {
    ZeroVectors group{g, file.tensor(flat->items[g])};
    if (group.weight == nullptr || group.weight->numel() == 0) continue;
    const auto state = states.find(ids[g]);
    if (state != states.end()) {
      const TorchTensor* first = file.tensor(dict_find(state->second, "exp_avg"));
      const TorchTensor* second = file.tensor(dict_find(state->second, "exp_avg_sq"));
      if (same_length(file, group.weight, first)) group.first_moment = first;
      if (group.first_moment != nullptr && same_length(file, group.weight, second)) group.second_moment = second;
    }
    vectors.push_back(group);
  }
  return vectors;
}

}  // namespace kinglet
