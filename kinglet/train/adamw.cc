#include "kinglet/train/adamw.h"

#include <cmath>

#include <torch/torch.h>

#include "kinglet/kernels/adamw.h"

namespace kinglet {

AdamW::AdamW(std::vector<NamedParameter> parameters, const AdamWSettings& settings)
    : parameters_(std::move(parameters)), settings_(settings) {
  for (const NamedParameter& parameter : parameters_) {
    TORCH_CHECK(parameter.value.is_contiguous() && parameter.value.scalar_type() == at::kFloat, parameter.name,
                " must be contiguous fp32");
    first_.push_back(at::zeros(parameter.value.sizes()));
    second_.push_back(at::zeros(parameter.value.sizes()));
  }
}

double AdamW::gradient_norm() const {
  double total = 0.0;
  for (const NamedParameter& parameter : parameters_) {
    const at::Tensor gradient = parameter.value.grad();
    if (!gradient.defined()) continue;
    const at::Tensor flat = gradient.contiguous();
    total += sum_of_squares(flat.data_ptr<float>(), flat.numel());
  }
  return std::sqrt(total);
}

void AdamW::step(double lr, double gradient_scale) {
  const at::NoGradGuard no_grad;
  ++steps_;
  AdamWStep update{lr, settings_.beta1, settings_.beta2, settings_.eps, 0.0, steps_, gradient_scale};
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& value = parameters_[i].value;
    if (!value.grad().defined()) continue;
    const at::Tensor gradient = value.grad().contiguous();
    update.weight_decay = decays(parameters_[i]) ? settings_.weight_decay : 0.0;
    adamw_update(update, value.numel(), value.data_ptr<float>(), gradient.data_ptr<float>(),
                 first_[i].data_ptr<float>(), second_[i].data_ptr<float>());
  }
}

void AdamW::clear_gradients() {
  for (const NamedParameter& parameter : parameters_) parameter.value.mutable_grad() = at::Tensor();
}

std::map<std::string, at::Tensor> AdamW::first_moments() const {
  std::map<std::string, at::Tensor> all;
  for (std::size_t i = 0; i < parameters_.size(); ++i) all.emplace(parameters_[i].name, first_[i]);
  return all;
}

std::map<std::string, at::Tensor> AdamW::second_moments() const {
  std::map<std::string, at::Tensor> all;
  for (std::size_t i = 0; i < parameters_.size(); ++i) all.emplace(parameters_[i].name, second_[i]);
  return all;
}

}  // namespace kinglet
