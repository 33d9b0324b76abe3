#include "kinglet/nn/token_loss.h"

#include <algorithm>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/kernels/cross_entropy.h"
#include "kinglet/nn/matrix_view.h"
#include "kinglet/nn/precision.h"
#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

constexpr std::int64_t kLogitsAtOnce = 1 << 21;  // elements: 8 MiB, which stay in the cache

struct Losses {
  double sum = 0.0;
  at::Tensor grad_hidden, grad_weight;  // undefined without gradients
};

Losses run(const at::Tensor& hidden_in, const at::Tensor& weight_in, const at::Tensor& labels, bool with_gradient) {
  const bool halves = precision() == Precision::kBFloat16 || weight_in.scalar_type() == at::kBFloat16;
  const at::ScalarType type = halves ? at::kBFloat16 : at::kFloat;
  const at::Tensor hidden = hidden_in.to(type).contiguous(), weight = weight_in.to(type).contiguous();
  const std::int64_t rows = hidden.size(0), vocabulary = weight.size(0), dim = hidden.size(1);
  const std::int64_t most = std::max<std::int64_t>(16, kLogitsAtOnce / std::max<std::int64_t>(1, vocabulary));
  Losses losses;
  if (with_gradient) {
    losses.grad_hidden = at::empty({rows, dim});
    losses.grad_weight = at::zeros({vocabulary, dim});
  }
  at::Tensor logits = at::empty({std::min(most, rows), vocabulary}), row_losses = at::empty({std::min(most, rows)});
  for (std::int64_t begin = 0; begin < rows; begin += most) {
    const std::int64_t count = std::min(most, rows - begin);
    const at::Tensor piece = hidden.narrow(0, begin, count);
    at::Tensor scores = logits.narrow(0, 0, count);
    matmul(matrix_of(piece), matrix_of(weight).transposed(), result_matrix(scores));
    float* const losses_of_rows = row_losses.data_ptr<float>();
    cross_entropy_rows(scores.data_ptr<float>(), labels.data_ptr<std::int64_t>() + begin, count, vocabulary,
                       with_gradient, losses_of_rows);
    for (std::int64_t i = 0; i < count; ++i) losses.sum += static_cast<double>(losses_of_rows[i]);
    if (!with_gradient) continue;
    const at::Tensor slope = scores.to(type);
    at::Tensor grad_piece = losses.grad_hidden.narrow(0, begin, count);
    matmul(matrix_of(slope), matrix_of(weight), result_matrix(grad_piece));
    matmul(matrix_of(slope).transposed(), matrix_of(piece), result_matrix(losses.grad_weight), 1, nullptr, true);
  }
  return losses;
}

class TokenLoss : public torch::autograd::Function<TokenLoss> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& labels) {
    const bool with_gradient = hidden.requires_grad() || weight.requires_grad();
    const Losses losses = run(hidden, weight, labels, with_gradient);
    if (with_gradient) {
      context->saved_data["grad_hidden"] = losses.grad_hidden;
      context->saved_data["grad_weight"] = losses.grad_weight;
    }
    return at::scalar_tensor(losses.sum, at::kFloat);
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               const torch::autograd::tensor_list& gradients) {
    return {context->saved_data["grad_hidden"].toTensor() * gradients[0],
            context->saved_data["grad_weight"].toTensor() * gradients[0],
            {}};
  }
};

}  // namespace

at::Tensor token_loss_sum(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& labels) {
  TORCH_CHECK(hidden.dim() == 2 && weight.dim() == 2 && labels.dim() == 1 && hidden.size(1) == weight.size(1) &&
                  labels.size(0) == hidden.size(0),
              "token loss: hidden ", hidden.sizes(), ", weight ", weight.sizes(), ", labels ", labels.sizes());
  const at::Tensor checked = labels.contiguous();
  const std::int64_t* const label = checked.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < checked.numel(); ++i) {
    if (label[i] != kIgnoredLabel && (label[i] < 0 || label[i] >= weight.size(0))) {
      throw bad_input("", fmt::format("label {} is outside the model's {} embeddings", label[i], weight.size(0)),
                      "use the tokenizer that belongs to the model");
    }
  }
  if (!at::GradMode::is_enabled()) return at::scalar_tensor(run(hidden, weight, checked, false).sum, at::kFloat);
  return TokenLoss::apply(hidden, weight, checked);
}

std::int64_t counted_labels(const at::Tensor& labels) { return labels.ne(kIgnoredLabel).sum().item<std::int64_t>(); }

}  // namespace kinglet::nn
