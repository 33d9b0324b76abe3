// The tensors of a model folder by name: model.safetensors, sharded safetensors, or pytorch_model.bin and its shards.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kinglet/io/safetensors.h"
#include "kinglet/io/tensor_view.h"
#include "kinglet/io/torch_file.h"

namespace kinglet {

class ModelWeights {
 public:
  // `path`: a folder, or one weight file. Raises Error (bad input) when there are no weights, a shard is missing, a
  // name stands in two shards, or a file is damaged.
  static ModelWeights open(const std::filesystem::path& path);

  const TensorView* find(const std::string& name) const;  // null when there is no such tensor
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const std::string& where() const { return where_; }  // the file or folder, for messages

 private:
  void add(const TensorView& view, const std::filesystem::path& file);
  void add_torch_file(const std::filesystem::path& path);

  std::string where_;
  std::vector<std::unique_ptr<SafetensorsFile>> safetensors_;
  std::vector<std::unique_ptr<TorchFile>> torch_files_;
  std::map<std::string, TensorView> tensors_;  // views into the files above
};

}  // namespace kinglet
