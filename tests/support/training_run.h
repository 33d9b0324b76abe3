// A training run without training: a model whose weights and Adam moments move as they do in practice, written as the
// checkpoint folders that the Hugging Face Trainer leaves.
#pragma once

#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "kinglet/base/rng.h"
#include "kinglet/io/number_array.h"
#include "kinglet/io/safetensors.h"
#include "kinglet/io/torch_file.h"

namespace kinglet::testing_support {

struct SimulatedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  DType dtype = DType::kF32;  // of the weights in the file
  bool trained = true;        // has moments
  std::vector<float> weight, first, second;
};

class TrainingRun {
 public:
  explicit TrainingRun(std::uint64_t seed) : rng_(seed) {}

  void add_tensor(std::string name, std::vector<std::int64_t> shape, DType dtype = DType::kF32, bool trained = true) {
    std::size_t n = 1;
    for (const std::int64_t size : shape) n *= static_cast<std::size_t>(size);
    SimulatedTensor tensor{std::move(name), std::move(shape), dtype, trained, {}, {}, {}};
    tensor.weight.resize(n);
    tensor.first.resize(n);
    tensor.second.resize(n);
    for (float& value : tensor.weight) value = static_cast<float>(0.02 * rng_.normal());
    tensors.push_back(std::move(tensor));
  }

  // A usual mixture: two equal matrices, a larger one, a bias, a scalar, a frozen one, half precision.
  void add_usual_tensors() {
    add_tensor("layers.0.weight", {160, 128});
    add_tensor("layers.1.weight", {160, 128});
    add_tensor("embedding.weight", {1030, 1024});
    add_tensor("layers.0.bias", {160});
    add_tensor("temperature", {});
    add_tensor("frozen.weight", {64, 32}, DType::kF32, false);
    add_tensor("half.weight", {77, 64}, DType::kBF16);
  }

  // Weights move along -first / sqrt(second), with some noise, so that the pairing of moments can be checked.
  void advance() {
    ++step_;
    for (SimulatedTensor& tensor : tensors) {
      if (!tensor.trained) continue;
      for (std::size_t i = 0; i < tensor.weight.size(); ++i) {
        const double gradient = 1e-4 * std::exp(0.7 * rng_.normal()) * rng_.normal();
        const double first = 0.3 * static_cast<double>(tensor.first[i]) + 0.7 * gradient;
        const double second = 0.9 * static_cast<double>(tensor.second[i]) + 0.1 * gradient * gradient + 1e-14;
        tensor.first[i] = static_cast<float>(first);
        tensor.second[i] = static_cast<float>(second);
        tensor.weight[i] -= static_cast<float>(1e-3 * first / (std::sqrt(second) + 1e-8));
      }
    }
  }

  // model.safetensors, optimizer.pt, scheduler.pt, trainer_state.json, config.json; the step number is that of
  // advance().
  std::filesystem::path write(const std::filesystem::path& folder) const {
    std::filesystem::create_directories(folder);
    std::vector<Bytes> stored;
    std::vector<TensorView> views;
    stored.reserve(tensors.size());
    for (const SimulatedTensor& tensor : tensors) {
      Bytes& bytes = stored.emplace_back(tensor.weight.size() * item_size(tensor.dtype));
      store_f32(tensor.weight.data(), tensor.weight.size(), tensor.dtype, bytes.data());
      views.push_back({tensor.name, tensor.dtype, tensor.shape, bytes});
    }
    const std::int64_t counter[] = {step_, 7};
    views.push_back({"buffers.counter", DType::kI64, {2}, std::as_bytes(std::span(counter))});
    write_safetensors(folder / "model.safetensors", views);
    write_optimizer(folder / "optimizer.pt");
    TorchFileWriter scheduler;
    PickleValue* root =
        scheduler.builder.dict({{scheduler.builder.string("last_epoch"), scheduler.builder.integer(step_)}});
    std::move(scheduler).write(folder / "scheduler.pt", root);
    write_file_atomically(folder / "trainer_state.json", as_bytes(fmt::format("{{\"global_step\": {}}}\n", step_)));
    write_file_atomically(folder / "config.json", as_bytes("{\"model_type\": \"simulated\"}\n"));
    return folder;
  }
  std::filesystem::path write_in(const std::filesystem::path& run) const {
    return write(run / fmt::format("checkpoint-{}", step_));
  }

  std::int64_t step() const { return step_; }
  std::vector<SimulatedTensor> tensors;

 private:
  void write_optimizer(const std::filesystem::path& path) const {
    TorchFileWriter writer;
    PickleBuilder& b = writer.builder;
    std::vector<std::pair<PickleValue*, PickleValue*>> entries;
    std::vector<PickleValue*> ids, names;
    const float count = static_cast<float>(step_);
    for (const SimulatedTensor& tensor : tensors) {
      if (!tensor.trained) continue;
      PickleValue* id = b.integer(static_cast<std::int64_t>(ids.size()));
      const auto moment = [&](const std::vector<float>& values) {
        return writer.add_tensor(DType::kF32, tensor.shape, std::as_bytes(std::span(values)));
      };
      ids.push_back(id);
      names.push_back(b.string(tensor.name));
      entries.emplace_back(
          b.integer(id->integer),
          b.dict({{b.string("step"), writer.add_tensor(DType::kF32, {}, std::as_bytes(std::span(&count, 1)))},
                  {b.string("exp_avg"), moment(tensor.first)},
                  {b.string("exp_avg_sq"), moment(tensor.second)}}));
    }
    PickleValue* group = b.dict({{b.string("lr"), b.number(1e-3 / static_cast<double>(step_ + 1))},
                                 {b.string("betas"), b.tuple({b.number(0.9), b.number(0.999)})},
                                 {b.string("param_names"), b.list(names)},
                                 {b.string("params"), b.list(ids)}});
    PickleValue* root = b.dict({{b.string("state"), b.dict(entries)}, {b.string("param_groups"), b.list({group})}});
    std::move(writer).write(path, root);
  }

  Rng rng_;
  std::int64_t step_ = 0;
};

}  // namespace kinglet::testing_support
