// AdamW over named parameters, one pass over memory a step (kernels/adamw.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace kinglet {

struct AdamWSettings {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;  // of parameters with two or more dimensions; norms and biases have none
};

struct NamedParameter {
  std::string name;
  at::Tensor value;  // fp32, contiguous, on the CPU
};

class AdamW {
 public:
  AdamW(std::vector<NamedParameter> parameters, const AdamWSettings& settings);

  // The Euclidean norm of all gradients, in double; the same for every number of threads.
  double gradient_norm() const;
  // Gradients are multiplied by `gradient_scale` on the way. A parameter without gradient stays as it is.
  void step(double lr, double gradient_scale = 1.0);
  void clear_gradients();

  std::int64_t steps() const { return steps_; }
  const AdamWSettings& settings() const { return settings_; }
  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  bool decays(const NamedParameter& parameter) const { return parameter.value.dim() >= 2; }

  // By parameter name; zeros before the first step. For checkpoints.
  std::map<std::string, at::Tensor> first_moments() const;
  std::map<std::string, at::Tensor> second_moments() const;
  void set_steps(std::int64_t steps) { steps_ = steps; }

 private:
  std::vector<NamedParameter> parameters_;
  std::vector<at::Tensor> first_, second_;
  AdamWSettings settings_;
  std::int64_t steps_ = 0;
};

}  // namespace kinglet
