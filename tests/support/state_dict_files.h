// Training checkpoints of a few numbers, written as torch.save would.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "kinglet/io/torch_file.h"

namespace kinglet::testing_support {

// A TorchFileWriter with its own data: every tensor is filled with numbers that no other tensor of the file has.
class StateDictFile {
 public:
  PickleBuilder& builder() { return writer_.builder; }

  PickleValue* tensor(const std::vector<std::int64_t>& shape, DType dtype = DType::kF32) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    Bytes& bytes = data_.emplace_back(static_cast<std::size_t>(count) * item_size(dtype));
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(next_++ * 37 % 251);
    return writer_.add_tensor(dtype, shape, bytes);
  }
  PickleValue* text(std::string value) { return builder().string(std::move(value)); }
  PickleValue* dict(const std::vector<std::pair<std::string, PickleValue*>>& items) {
    std::vector<std::pair<PickleValue*, PickleValue*>> pairs;
    for (const auto& [key, value] : items) pairs.emplace_back(text(key), value);
    return builder().dict(pairs);
  }

  using Shapes = std::vector<std::pair<std::string, std::vector<std::int64_t>>>;
  PickleValue* model(const Shapes& shapes, DType dtype = DType::kF32) {
    std::vector<std::pair<PickleValue*, PickleValue*>> items;
    for (const auto& [name, shape] : shapes) items.emplace_back(text(name), tensor(shape, dtype));
    return writer_.ordered_dict(items);
  }
  // One group; `components` are kept as arrays of the parameter's shape, and a step count.
  PickleValue* optimizer(const Shapes& shapes, const std::vector<std::string>& components = {"exp_avg", "exp_avg_sq"},
                         DType dtype = DType::kF32) {
    std::vector<std::pair<PickleValue*, PickleValue*>> states;
    std::vector<PickleValue*> ids;
    for (const auto& [name, shape] : shapes) {
      std::vector<std::pair<std::string, PickleValue*>> state = {{"step", tensor({})}};
      for (const std::string& component : components) state.emplace_back(component, tensor(shape, dtype));
      ids.push_back(builder().integer(static_cast<std::int64_t>(ids.size())));
      states.emplace_back(ids.back(), dict(state));
    }
    PickleValue* group = dict({{"lr", builder().number(0.1)}, {"params", builder().list(ids)}});
    return dict({{"state", builder().dict(states)}, {"param_groups", builder().list({group})}});
  }

  void write(const std::filesystem::path& path, PickleValue* root) && { std::move(writer_).write(path, root); }

 private:
  TorchFileWriter writer_;
  std::deque<Bytes> data_;
  std::size_t next_ = 1;
};

}  // namespace kinglet::testing_support
