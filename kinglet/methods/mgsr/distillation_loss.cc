#include "kinglet/methods/mgsr/distillation_loss.h"

#include <algorithm>

#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include "kinglet/base/error.h"
#include "kinglet/nn/matrix_view.h"
#include "kinglet/nn/torch.h"

namespace kinglet::mgsr {
namespace {

constexpr std::int64_t kLogitsAtOnce = 1 << 19;

// Gradients of the sum, collected piece by piece.
struct Collected {
  at::Tensor hidden, weight;        // undefined without gradients
  std::vector<at::Tensor> network;  // empty when it does not learn
  double loss = 0.0;
};

// One pass over all rows.
class Pass {
 public:
  Pass(const LossRows& rows, const LossSettings& settings, bool with_gradient)
      : rows_(rows), settings_(settings), with_gradient_(with_gradient) {
    const bool halves =
        nn::precision() == nn::Precision::kBFloat16 || rows.output_weight.scalar_type() == at::kBFloat16;
    type_ = halves ? at::kBFloat16 : at::kFloat;
    hidden_ = rows.hidden.detach().to(type_).contiguous();
    weight_ = rows.output_weight.detach().to(type_).contiguous();
    if (with_gradient) {
      collected_.hidden = at::zeros({hidden_.size(0), hidden_.size(1)});
      collected_.weight = at::zeros({weight_.size(0), weight_.size(1)});
    }
    if (settings.band_weight != 0 && settings.band_mode != BandMode::kFixed) prepare_network();
  }

  Collected run() {
    const std::int64_t total = hidden_.size(0);
    const std::int64_t wanted =
        settings_.rows_at_once > 0
            ? settings_.rows_at_once
            : std::max<std::int64_t>(16, kLogitsAtOnce / std::max<std::int64_t>(1, weight_.size(0)));
    std::size_t next_pair = 0;
    for (std::int64_t begin = 0; begin < total; begin += wanted) {
      const std::int64_t own = std::min(wanted, total - begin);
      std::vector<std::int64_t> firsts;
      while (settings_.span_weight != 0 && next_pair < rows_.pairs.size() && rows_.pairs[next_pair] < begin + own) {
        firsts.push_back(rows_.pairs[next_pair++] - begin);
      }
      // The second row of the last pair may belong to the next piece: it is here too, for that pair only.
      const bool one_more = !firsts.empty() && firsts.back() == own - 1;
      piece(begin, own, own + (one_more ? 1 : 0), firsts);
    }
    return std::move(collected_);
  }

  LossReport report;

 private:
  void prepare_network() {
    for (const at::Tensor& value : rows_.network->values()) {
      const bool learns = with_gradient_ && settings_.band_mode == BandMode::kJoint;
      network_.push_back(value.detach().requires_grad_(learns));
      if (learns) collected_.network.push_back(at::zeros(value.sizes()));
    }
  }

  void piece(std::int64_t begin, std::int64_t own, std::int64_t count, const std::vector<std::int64_t>& firsts) {
    const at::Tensor hidden = hidden_.narrow(0, begin, count);
    at::Tensor student = output_logits(hidden, weight_);
    at::Tensor teacher = settings_.needs_teacher() ? rows_.teacher->logits(begin, count) : student;
    TORCH_CHECK(teacher.sizes() == student.sizes(), "teacher logits ", teacher.sizes(), ", student ", student.sizes());
    repair_logits(teacher, student);
    const at::Tensor gradient = terms(teacher, student, begin, own, firsts);
    if (!with_gradient_) return;
    const at::Tensor slope = gradient.to(type_);
    at::Tensor grad_hidden = collected_.hidden.narrow(0, begin, count);
    matmul(nn::matrix_of(slope), nn::matrix_of(weight_), nn::result_matrix(grad_hidden), 1, nullptr, true);
    matmul(nn::matrix_of(slope).transposed(), nn::matrix_of(hidden), nn::result_matrix(collected_.weight), 1, nullptr,
           true);
  }

  // Adds up the losses of the first `own` rows and of the pairs; returns the gradient for the student's logits.
  at::Tensor terms(const at::Tensor& teacher, const at::Tensor& student, std::int64_t begin, std::int64_t own,
                   const std::vector<std::int64_t>& firsts) {
    Distributions all;
    if (settings_.needs_teacher()) {
      all = distributions(teacher, student);
    } else {
      all.log_p = all.log_q = student.log_softmax(-1);
      all.p = all.q = all.log_q.exp();
    }
    at::Tensor gradient = at::zeros_like(student);
    at::Tensor own_gradient = gradient.narrow(0, 0, own);
    const Distributions mine = all.log_q.size(0) == own
                                   ? all
                                   : Distributions{all.log_p.narrow(0, 0, own), all.p.narrow(0, 0, own),
                                                   all.log_q.narrow(0, 0, own), all.q.narrow(0, 0, own)};
    report.rows += static_cast<double>(own);
    if (settings_.cross_entropy_weight != 0) cross_entropy(mine, begin, own_gradient);
    if (settings_.divergence_weight != 0) divergence(mine, teacher, student, own_gradient);
    if (settings_.band_weight != 0) band(mine, own_gradient);
    if (!firsts.empty()) span(all, firsts, gradient);
    return gradient;
  }

  double count_loss(double sum, double weight) {
    collected_.loss += sum * weight;
    return sum;
  }

  void cross_entropy(const Distributions& rows, std::int64_t begin, at::Tensor& gradient) {
    const at::Tensor labels = rows_.labels.narrow(0, begin, rows.q.size(0)).unsqueeze(-1);
    const double weight = settings_.cross_entropy_weight;
    report.cross_entropy += count_loss(-sum_of(rows.log_q.gather(1, labels)), weight);
    gradient.add_(rows.q, weight);
    gradient.scatter_add_(1, labels, at::full(labels.sizes(), -weight));
  }

  void divergence(const Distributions& rows, const at::Tensor& teacher, const at::Tensor& student,
                  at::Tensor& gradient) {
    const double heat = settings_.temperature;
    const std::int64_t own = rows.q.size(0);
    const RowLosses result =
        divergence_rows(heat == 1.0 ? rows : distributions(teacher.narrow(0, 0, own), student.narrow(0, 0, own), heat),
                        settings_.divergence);
    report.divergence += count_loss(sum_of(result.losses) * heat * heat, settings_.divergence_weight);
    gradient.add_(result.gradient, settings_.divergence_weight * heat);
  }

  void band(const Distributions& rows, at::Tensor& gradient) {
    const RankedRows ranked = rank_rows(rows);
    at::Tensor lower, upper;
    if (network_.empty()) {
      lower = at::full({rows.q.size(0)}, settings_.fixed_lower);
      upper = at::full({rows.q.size(0)}, settings_.fixed_upper);
    } else {
      const at::AutoGradMode gradients(true);
      std::tie(lower, upper) = BandNetwork::limits(rows_.network->features(ranked), network_);
    }
    const BandLosses result = band_losses(ranked, lower.detach(), upper.detach(), settings_.band);
    report.band += count_loss(sum_of(result.student.losses), settings_.band_weight);
    report.band_rows += static_cast<double>(rows.q.size(0));
    report.kept_mass += sum_of(result.kept_mass);
    report.kept_classes += sum_of(result.kept_classes);
    report.lower += sum_of(lower.detach());
    report.upper += sum_of(upper.detach());
    gradient.add_(result.student.gradient, settings_.band_weight);
    if (!collected_.network.empty()) teach_network(lower, upper, result);
  }

  void teach_network(const at::Tensor& lower, const at::Tensor& upper, const BandLosses& result) {
    const at::Tensor missing = (settings_.keep_floor - result.kept_mass).clamp_min_(0);
    const at::Tensor price = missing.mul(-2 * settings_.keep_penalty);
    const at::Tensor by_lower = result.lower + price * result.mass_lower;
    const at::Tensor by_upper = result.upper + price * result.mass_upper;
    const auto gradients = torch::autograd::grad({lower, upper}, network_, {by_lower, by_upper});
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      collected_.network[i].add_(gradients[i], settings_.band_weight);
    }
  }

  void span(const Distributions& rows, const std::vector<std::int64_t>& firsts, at::Tensor& gradient) {
    const PairLosses result = span_losses(rows, firsts, settings_.distance);
    // Rows, because the whole is a sum over rows, and the span term a mean over pairs.
    const double weight =
        settings_.span_weight * static_cast<double>(hidden_.size(0)) / static_cast<double>(rows_.pairs.size());
    report.pairs += static_cast<double>(firsts.size());
    report.span += count_loss(sum_of(result.losses), weight);
    gradient.add_(result.gradient, weight);
  }

  static double sum_of(const at::Tensor& values) { return values.sum(at::kDouble).item<double>(); }

  const LossRows& rows_;
  const LossSettings& settings_;
  bool with_gradient_;
  at::ScalarType type_ = at::kFloat;
  at::Tensor hidden_, weight_;
  std::vector<at::Tensor> network_;
  Collected collected_;
};

// Parameters behind each other, as one input of the function below.
at::Tensor flat(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> parts = {at::empty({0})};
  for (const at::Tensor& tensor : tensors) parts.push_back(tensor.reshape({-1}));
  return at::cat(parts);
}

class DistillationLoss : public torch::autograd::Function<DistillationLoss> {
 public:
  // The tensors stand beside `rows` so that autograd sees them.
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor&, const at::Tensor&,
                            const at::Tensor&, const LossRows& rows, const LossSettings& settings, LossReport& report) {
    Pass pass(rows, settings, true);
    const Collected collected = pass.run();
    report = pass.report;
    context->saved_data["hidden"] = collected.hidden;
    context->saved_data["weight"] = collected.weight;
    context->saved_data["network"] = flat(collected.network);
    return at::scalar_tensor(collected.loss, at::kFloat);
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               const torch::autograd::tensor_list& gradients) {
    return {context->saved_data["hidden"].toTensor() * gradients[0],
            context->saved_data["weight"].toTensor() * gradients[0],
            context->saved_data["network"].toTensor() * gradients[0],
            {},
            {},
            {}};
  }
};

void check(const LossRows& rows, const LossSettings& settings) {
  TORCH_CHECK(rows.hidden.dim() == 2 && rows.output_weight.dim() == 2 && rows.labels.dim() == 1 &&
                  rows.labels.size(0) == rows.hidden.size(0) && rows.hidden.size(1) == rows.output_weight.size(1),
              "distillation loss: hidden ", rows.hidden.sizes(), ", weight ", rows.output_weight.sizes(), ", labels ",
              rows.labels.sizes());
  TORCH_CHECK(!settings.needs_teacher() || rows.teacher != nullptr, "these terms need a teacher");
  TORCH_CHECK(settings.band_weight == 0 || settings.band_mode == BandMode::kFixed || rows.network != nullptr,
              "DAC-KL needs its network");
  const std::int64_t vocabulary = rows.output_weight.size(0);
  if (rows.labels.numel() > 0 &&
      (rows.labels.min().item<std::int64_t>() < 0 || rows.labels.max().item<std::int64_t>() >= vocabulary)) {
    throw bad_input("", fmt::format("a label is outside the {} tokens of the vocabulary", vocabulary),
                    "use the tokenizer that belongs to the models");
  }
}

}  // namespace

void LossReport::add(const LossReport& other) {
  for (const auto field : {&LossReport::rows, &LossReport::pairs, &LossReport::band_rows, &LossReport::cross_entropy,
                           &LossReport::divergence, &LossReport::band, &LossReport::span, &LossReport::kept_mass,
                           &LossReport::kept_classes, &LossReport::lower, &LossReport::upper}) {
    this->*field += other.*field;
  }
}

at::Tensor distillation_loss_sum(const LossRows& rows, const LossSettings& settings, LossReport& report) {
  check(rows, settings);
  if (rows.hidden.size(0) == 0) {
    report = {};
    return rows.hidden.sum();
  }
  if (!at::GradMode::is_enabled()) {
    Pass pass(rows, settings, false);
    const double loss = pass.run().loss;
    report = pass.report;
    return at::scalar_tensor(loss, at::kFloat);
  }
  const bool learns = settings.band_weight != 0 && settings.band_mode == BandMode::kJoint;
  return DistillationLoss::apply(rows.hidden, rows.output_weight,
                                 flat(learns ? rows.network->values() : std::vector<at::Tensor>()), rows, settings,
                                 report);
}

}  // namespace kinglet::mgsr
