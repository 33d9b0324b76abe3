#include "kinglet/io/model_weights.h"

#include <nlohmann/json.hpp>
#include <set>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace fs = std::filesystem;

namespace {

bool is_torch_file(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".bin" || extension == ".pt" || extension == ".pth";
}

std::vector<fs::path> torch_shards(const fs::path& index) {
  const auto document = nlohmann::json::parse(as_text(read_file(index, 1 << 28)), nullptr, false);
  if (!document.is_object() || !document.contains("weight_map") || !document["weight_map"].is_object()) {
    throw bad_input(index.string(), "no weight_map", "fetch the file again");
  }
  std::set<fs::path> shards;
  for (const auto& [name, file] : document["weight_map"].items()) {
    if (!file.is_string()) throw bad_input(index.string(), fmt::format("'{}' names no file", name));
    shards.insert(join_untrusted(index.parent_path(), file.get<std::string>()));
  }
  return {shards.begin(), shards.end()};
}

std::vector<fs::path> weight_files(const fs::path& path) {
  if (fs::is_regular_file(path)) {
    if (path.filename().string().ends_with(".bin.index.json")) return torch_shards(path);
    return is_torch_file(path) ? std::vector<fs::path>{path} : find_safetensors_files(path);
  }
  if (fs::exists(path / "model.safetensors") || fs::exists(path / "model.safetensors.index.json")) {
    return find_safetensors_files(path);
  }
  if (fs::exists(path / "pytorch_model.bin")) return {path / "pytorch_model.bin"};
  if (fs::exists(path / "pytorch_model.bin.index.json")) return torch_shards(path / "pytorch_model.bin.index.json");
  throw bad_input(path.string(), "no model.safetensors and no pytorch_model.bin here",
                  "name a model folder as Hugging Face lays it out");
}

}  // namespace

ModelWeights ModelWeights::open(const fs::path& path) {
  ModelWeights weights;
  weights.where_ = path.string();
  for (const fs::path& file : weight_files(path)) {
    if (!fs::exists(file)) {
      throw bad_input(file.string(), "this shard of the model is missing", "fetch it, or all of the model, again");
    }
    if (is_torch_file(file)) {
      weights.add_torch_file(file);
      continue;
    }
    weights.safetensors_.push_back(std::make_unique<SafetensorsFile>(file));
    for (const TensorView& view : weights.safetensors_.back()->tensors()) weights.add(view, file);
  }
  return weights;
}

void ModelWeights::add(const TensorView& view, const fs::path& file) {
  if (!tensors_.emplace(view.name, view).second) {
    throw bad_input(file.string(), fmt::format("tensor {} is in another shard as well", view.name));
  }
}

void ModelWeights::add_torch_file(const fs::path& path) {
  torch_files_.push_back(std::make_unique<TorchFile>(TorchFile::open(path, false)));
  const TorchFile& file = *torch_files_.back();
  const PickleValue* const root = file.root();
  // A plain dict, or the OrderedDict of model.state_dict(): a call whose entries were put in afterwards.
  const bool ordered = root != nullptr && root->kind == PickleKind::kCall && !root->appended.empty();
  if (root == nullptr || (root->kind != PickleKind::kDict && !ordered)) {
    throw bad_input(path.string(), "this is no state dict", "save model.state_dict()");
  }
  const std::vector<PickleValue*>& entries = ordered ? root->appended : root->items;
  for (std::size_t i = 0; i + 1 < entries.size(); i += 2) {
    const PickleValue *key = entries[i], *value = entries[i + 1];
    const TorchTensor* tensor = file.tensor(value);
    if (key->kind != PickleKind::kString || tensor == nullptr || !tensor->is_contiguous()) continue;
    add({key->text, tensor->dtype, tensor->shape, file.contiguous_bytes(*tensor)}, path);
  }
}

const TensorView* ModelWeights::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

}  // namespace kinglet
