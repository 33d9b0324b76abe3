#include "kinglet/methods/mgsr/teacher_rows.h"

#include "kinglet/nn/matrix_view.h"
#include "kinglet/nn/torch.h"

namespace kinglet::mgsr {
namespace {

at::ScalarType operand_type(const at::Tensor& weight) {
  const bool halves = nn::precision() == nn::Precision::kBFloat16 || weight.scalar_type() == at::kBFloat16;
  return halves ? at::kBFloat16 : at::kFloat;
}

}  // namespace

at::Tensor output_logits(const at::Tensor& hidden, const at::Tensor& weight) {
  const at::NoGradGuard no_grad;
  const at::ScalarType type = operand_type(weight);
  const at::Tensor rows = hidden.to(type).contiguous(), matrix = weight.to(type).contiguous();
  at::Tensor logits = at::empty({rows.size(0), matrix.size(0)});
  matmul(nn::matrix_of(rows), nn::matrix_of(matrix).transposed(), nn::result_matrix(logits));
  return logits;
}

ModelTeacherRows::ModelTeacherRows(at::Tensor hidden, at::Tensor output_weight)
    : hidden_(std::move(hidden)), weight_(output_weight.detach().to(operand_type(output_weight)).contiguous()) {}

at::Tensor ModelTeacherRows::logits(std::int64_t begin, std::int64_t count) const {
  return output_logits(hidden_.narrow(0, begin, count), weight_);
}

}  // namespace kinglet::mgsr
