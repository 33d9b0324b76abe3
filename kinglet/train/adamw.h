// AdamW over named parameters, one pass over memory a step (kernels/adamw.h).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace kinglet {

struct AdamWStep;

struct AdamWSettings {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;  // of parameters with two or more dimensions; norms and biases have none
  // Parameters [rows, width] of which a step changes only the rows that have a gradient (kernels/adamw.h,
  // adamw_update_rows), by name. Empty: none.
  std::function<bool(const std::string& name)> row_sparse;
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
  // Gradients are multiplied by `gradient_scale` on the way. A parameter without gradient stays as it is. Gradients of
  // row-sparse parameters may be sparse tensors of rows; of a dense one, rows that are all zero count as without.
  void step(double lr, double gradient_scale = 1.0);
  void clear_gradients();

  std::int64_t steps() const { return steps_; }
  const AdamWSettings& settings() const { return settings_; }
  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  bool decays(const NamedParameter& parameter) const { return parameter.value.dim() >= 2; }

  // By parameter name; zeros before the first step. For checkpoints.
  std::map<std::string, at::Tensor> first_moments() const;
  std::map<std::string, at::Tensor> second_moments() const;
  // Of row-sparse parameters: the step at which each row was last updated, int32 [rows].
  std::map<std::string, at::Tensor> row_steps() const;
  void set_steps(std::int64_t steps) { steps_ = steps; }

 private:
  void step_rows(std::size_t i, const AdamWStep& update);

  std::vector<NamedParameter> parameters_;
  std::vector<at::Tensor> first_, second_;
  std::vector<at::Tensor> row_steps_;  // undefined for dense parameters
  AdamWSettings settings_;
  std::int64_t steps_ = 0;
};

}  // namespace kinglet
