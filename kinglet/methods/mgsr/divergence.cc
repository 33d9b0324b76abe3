#include "kinglet/methods/mgsr/divergence.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/nn/torch.h"

namespace kinglet::mgsr {
namespace {

at::Tensor forward_losses(const Distributions& rows) { return (rows.log_p - rows.log_q).mul_(rows.p).sum(-1); }

RowLosses forward(const Distributions& rows) { return {forward_losses(rows), rows.q - rows.p}; }

RowLosses reverse(const Distributions& rows) {
  at::Tensor gradient = rows.log_q - rows.log_p;
  const at::Tensor losses = (gradient * rows.q).sum(-1);
  gradient.sub_(losses.unsqueeze(-1)).mul_(rows.q);
  return {losses, gradient};
}

// weight P + (1 - weight) Q; never 0, so that it can be divided by: where it is tiny, P and Q weigh nothing.
at::Tensor mixture(const Distributions& rows, double weight) {
  const double tiny = rows.p.scalar_type() == at::kDouble ? std::numeric_limits<double>::min()
                                                          : static_cast<double>(std::numeric_limits<float>::min());
  return (rows.p * weight).add_(rows.q, 1.0 - weight).clamp_min_(tiny);
}

RowLosses skew_forward(const Distributions& rows, double skew) {
  const at::Tensor middle = mixture(rows, skew);
  const at::Tensor losses = (rows.log_p - middle.log()).mul_(rows.p).sum(-1);
  const at::Tensor gradient = rows.p.div(middle).mul_(skew - 1.0);
  return {losses, through_softmax(gradient, rows.q)};
}

RowLosses skew_reverse(const Distributions& rows, double skew) {
  const at::Tensor middle = mixture(rows, 1.0 - skew);
  at::Tensor gradient = rows.log_q - middle.log();
  const at::Tensor losses = (gradient * rows.q).sum(-1);
  gradient.sub_(rows.q.div(middle), skew);  // and a constant, which softmax takes away
  return {losses, through_softmax(gradient, rows.q)};
}

RowLosses jensen_shannon(const Distributions& rows, double beta) {
  const at::Tensor log_middle = mixture(rows, beta).log_();
  at::Tensor losses = (rows.log_p - log_middle).mul_(rows.p).sum(-1).mul_(beta);
  at::Tensor gradient = (rows.log_q - log_middle).mul_(1.0 - beta);
  losses.add_((gradient * rows.q).sum(-1));
  return {losses, through_softmax(gradient, rows.q)};
}

RowLosses total_variation(const Distributions& rows) {
  const at::Tensor difference = rows.q - rows.p;
  return {difference.abs().sum(-1).mul_(0.5), through_softmax(difference.sign().mul_(0.5), rows.q)};
}

class DivergenceLoss : public torch::autograd::Function<DivergenceLoss> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& student_in,
                            const at::Tensor& teacher_in, const DivergenceSettings& settings, double temperature) {
    at::Tensor teacher = teacher_in.to(student_in.scalar_type()), student = student_in;
    repair_logits(teacher, student);
    const RowLosses rows = divergence_rows(distributions(teacher, student, temperature), settings);
    context->save_for_backward({rows.gradient * temperature});
    return rows.losses * (temperature * temperature);
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               const torch::autograd::tensor_list& gradients) {
    return {context->get_saved_variables()[0] * gradients[0].unsqueeze(-1), {}, {}, {}};
  }
};

}  // namespace

const std::vector<std::string>& divergence_names() {
  static const std::vector<std::string> names = {"forward", "reverse", "skew-forward", "skew-reverse", "jsd", "tvd"};
  return names;
}

Divergence parse_divergence(std::string_view name) {
  const auto& names = divergence_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw bad_input("", fmt::format("no divergence is called '{}'", name),
                    fmt::format("choose one of: {}", fmt::join(names, ", ")));
  }
  return static_cast<Divergence>(found - names.begin());
}

RowLosses divergence_rows(const Distributions& rows, const DivergenceSettings& settings) {
  switch (settings.kind) {
    case Divergence::kForward:
      return forward(rows);
    case Divergence::kReverse:
      return reverse(rows);
    case Divergence::kSkewForward:
      return skew_forward(rows, settings.skew);
    case Divergence::kSkewReverse:
      return skew_reverse(rows, settings.skew);
    case Divergence::kJensenShannon:
      return jensen_shannon(rows, settings.beta);
    case Divergence::kTotalVariation:
      return total_variation(rows);
  }
  return {};
}

at::Tensor divergence_loss(const at::Tensor& teacher, const at::Tensor& student, const DivergenceSettings& settings,
                           double temperature) {
  TORCH_CHECK(student.dim() == 2 && teacher.sizes() == student.sizes(), "divergence: teacher ", teacher.sizes(),
              ", student ", student.sizes());
  return DivergenceLoss::apply(student, teacher, settings, temperature);
}

}  // namespace kinglet::mgsr
