// distillation.safetensors in a checkpoint: the band network with its moments, the replay buffer, the threshold.
#include <cmath>
#include <limits>
#include <map>

#include "kinglet/base/error.h"
#include "kinglet/io/safetensors.h"
#include "kinglet/methods/mgsr/distillation.h"
#include "kinglet/nn/tensor_io.h"
#include "kinglet/nn/torch.h"

namespace kinglet::mgsr {
namespace fs = std::filesystem;

namespace {

constexpr const char* kFile = "distillation.safetensors";

// The responses of the buffer: all tokens behind each other, and [prompt length, response length, number] of each.
std::pair<at::Tensor, at::Tensor> packed(const ReplayBuffer& buffer) {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> lengths;
  for (const Example& example : buffer.examples()) {
    tokens.insert(tokens.end(), example.prompt.begin(), example.prompt.end());
    tokens.insert(tokens.end(), example.response.begin(), example.response.end());
    lengths.insert(lengths.end(), {static_cast<std::int64_t>(example.prompt.size()),
                                   static_cast<std::int64_t>(example.response.size()), example.number});
  }
  return {at::tensor(tokens, at::kInt), at::tensor(lengths, at::kLong)};
}

class Reading {
 public:
  explicit Reading(const fs::path& path) : path_(path), file_(path) {
    for (const TensorView& view : file_.tensors()) tensors_.emplace(view.name, view);
  }
  Error wrong(std::string_view what) const {
    return bad_input(path_.string(), what, "go on from another checkpoint, or begin a new run");
  }
  at::Tensor tensor(const std::string& name, at::ScalarType type) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) throw wrong(fmt::format("tensor {} is missing", name));
    const at::Tensor value = to_tensor(found->second);
    if (value.scalar_type() != type) throw wrong(fmt::format("tensor {} has another type", name));
    return value;
  }
  void copy(const std::string& name, const at::Tensor& target) const {
    const at::Tensor value = tensor(name, at::kFloat);
    if (value.sizes() != target.sizes()) throw wrong(fmt::format("tensor {} has another shape", name));
    at::Tensor(target).copy_(value);
  }

 private:
  fs::path path_;
  SafetensorsFile file_;
  std::map<std::string, TensorView> tensors_;
};

void unpack(const Reading& reading, std::int64_t vocabulary, ReplayBuffer& buffer) {
  const at::Tensor tokens = reading.tensor("buffer.tokens", at::kInt).contiguous();
  const at::Tensor lengths = reading.tensor("buffer.lengths", at::kLong).contiguous();
  const std::int32_t* token = tokens.data_ptr<std::int32_t>();
  std::int64_t left = tokens.numel();
  const std::int64_t* const values = lengths.data_ptr<std::int64_t>();
  const auto take = [&](std::int64_t count) {
    if (count < 0 || count > left) throw reading.wrong("the replay buffer is damaged");
    std::vector<TokenId> part(token, token + count);
    for (const TokenId id : part) {
      if (id < 0 || id >= vocabulary) throw reading.wrong("the replay buffer holds a token outside the vocabulary");
    }
    token += count;
    left -= count;
    return part;
  };
  buffer.clear();
  for (std::int64_t i = 0; i + 2 < lengths.numel(); i += 3) {
    if (values[i] < 1) throw reading.wrong("the replay buffer holds an example without prompt");
    Example example;
    example.prompt = take(values[i]);
    example.response = take(values[i + 1]);
    example.number = values[i + 2];
    buffer.push(example);
  }
}

}  // namespace

void Distillation::save(const fs::path& folder) const {
  std::vector<at::Tensor> kept;  // views do not own
  std::vector<TensorView> tensors;
  const auto add = [&](const std::string& name, const at::Tensor& value) {
    kept.push_back(value.detach().contiguous());
    tensors.push_back(view_of(name, kept.back()));
  };
  const double previous = threshold_.previous_loss.value_or(std::numeric_limits<double>::quiet_NaN());
  const auto [tokens, lengths] = packed(buffer_);
  add("state", at::tensor({threshold_.threshold, previous,
                           network_optimizer_ ? static_cast<double>(network_optimizer_->steps()) : 0.0,
                           static_cast<double>(collapsed_batches_)},
                          at::kDouble));
  add("buffer.tokens", tokens);
  add("buffer.lengths", lengths);
  if (network_) {
    for (const NamedParameter& parameter : network_->parameters()) add("network." + parameter.name, parameter.value);
    for (const auto& [name, moment] : network_optimizer_->first_moments()) add("first_moment." + name, moment);
    for (const auto& [name, moment] : network_optimizer_->second_moments()) add("second_moment." + name, moment);
  }
  write_safetensors(folder / kFile, tensors);
}

void Distillation::load(const fs::path& folder) {
  const at::NoGradGuard no_grad;
  const Reading reading(folder / kFile);
  const at::Tensor state = reading.tensor("state", at::kDouble).contiguous();
  if (state.numel() != 4) throw reading.wrong("its state has another form");
  const double* const values = state.data_ptr<double>();
  threshold_.threshold = values[0];
  threshold_.previous_loss.reset();
  if (!std::isnan(values[1])) threshold_.previous_loss = values[1];
  collapsed_batches_ = static_cast<int>(values[3]);
  unpack(reading, settings_.writing.vocabulary, buffer_);
  if (!network_) return;
  for (const NamedParameter& parameter : network_->parameters())
    reading.copy("network." + parameter.name, parameter.value);
  for (const auto& [name, moment] : network_optimizer_->first_moments()) reading.copy("first_moment." + name, moment);
  for (const auto& [name, moment] : network_optimizer_->second_moments()) reading.copy("second_moment." + name, moment);
  network_optimizer_->set_steps(static_cast<std::int64_t>(values[2]));
}

}  // namespace kinglet::mgsr
