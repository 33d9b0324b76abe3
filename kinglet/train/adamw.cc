#include "kinglet/train/adamw.h"

#include <cmath>

#include "kinglet/kernels/adamw.h"
#include "kinglet/nn/torch.h"

namespace kinglet {

AdamW::AdamW(std::vector<NamedParameter> parameters, const AdamWSettings& settings)
    : parameters_(std::move(parameters)), settings_(settings) {
  for (const NamedParameter& parameter : parameters_) {
    TORCH_CHECK(parameter.value.is_contiguous() && parameter.value.scalar_type() == at::kFloat, parameter.name,
                " must be contiguous fp32");
    first_.push_back(at::zeros(parameter.value.sizes()));
    second_.push_back(at::zeros(parameter.value.sizes()));
    const bool by_row = parameter.value.dim() == 2 && settings_.row_sparse && settings_.row_sparse(parameter.name);
    row_steps_.push_back(by_row ? at::zeros({parameter.value.size(0)}, at::kInt) : at::Tensor());
  }
}

double AdamW::gradient_norm() const {
  double total = 0.0;
  for (const NamedParameter& parameter : parameters_) {
    const at::Tensor gradient = parameter.value.grad();
    if (!gradient.defined()) continue;
    const at::Tensor flat = gradient.is_sparse() ? gradient.coalesce()._values().contiguous() : gradient.contiguous();
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
    update.weight_decay = decays(parameters_[i]) ? settings_.weight_decay : 0.0;
    if (row_steps_[i].defined()) {
      step_rows(i, update);
      continue;
    }
    TORCH_CHECK(!value.grad().is_sparse(), parameters_[i].name,
                " has a sparse gradient, but is no row-sparse parameter");
    const at::Tensor gradient = value.grad().contiguous();
    adamw_update(update, value.numel(), value.data_ptr<float>(), gradient.data_ptr<float>(),
                 first_[i].data_ptr<float>(), second_[i].data_ptr<float>());
  }
}

void AdamW::step_rows(std::size_t i, const AdamWStep& update) {
  const at::Tensor& value = parameters_[i].value;
  at::Tensor rows, gradient = value.grad();
  if (gradient.is_sparse()) {
    gradient = gradient.coalesce();
    rows = gradient._indices().select(0, 0).contiguous();
    gradient = gradient._values().contiguous();
  } else {
    rows = gradient.ne(0).any(1).nonzero().squeeze(1);
    gradient = gradient.index_select(0, rows).contiguous();
  }
  adamw_update_rows(update, rows.size(0), value.size(1), rows.data_ptr<std::int64_t>(), value.data_ptr<float>(),
                    gradient.data_ptr<float>(), first_[i].data_ptr<float>(), second_[i].data_ptr<float>(),
                    row_steps_[i].data_ptr<std::int32_t>());
}

void AdamW::clear_gradients() {
  for (const NamedParameter& parameter : parameters_) parameter.value.mutable_grad() = at::Tensor();
}

std::map<std::string, at::Tensor> AdamW::first_moments() const {
  std::map<std::string, at::Tensor> all;
  for (std::size_t i = 0; i < parameters_.size(); ++i) all.emplace(parameters_[i].name, first_[i]);
  return all;
}

std::map<std::string, at::Tensor> AdamW::row_steps() const {
  std::map<std::string, at::Tensor> all;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (row_steps_[i].defined()) all.emplace(parameters_[i].name, row_steps_[i]);
  }
  return all;
}

std::map<std::string, at::Tensor> AdamW::second_moments() const {
  std::map<std::string, at::Tensor> all;
  for (std::size_t i = 0; i < parameters_.size(); ++i) all.emplace(parameters_[i].name, second_[i]);
  return all;
}

}  // namespace kinglet
