#include "kinglet/nn/matrix_view.h"

#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

DType dtype_of(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.dim() == 2 && tensor.is_contiguous(), "a product takes contiguous matrices");
  TORCH_CHECK(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16,
              "a product takes fp32 and bf16, not ", tensor.scalar_type());
  return tensor.scalar_type() == at::kFloat ? DType::kF32 : DType::kBF16;
}

}  // namespace

ConstMatrix matrix_of(const at::Tensor& tensor) {
  return {tensor.data_ptr(), dtype_of(tensor), tensor.size(0), tensor.size(1), tensor.size(1), 1, 0};
}

Matrix result_matrix(at::Tensor& tensor) {
  return {tensor.data_ptr(), dtype_of(tensor), tensor.size(0), tensor.size(1), tensor.size(1), 1, 0};
}

}  // namespace kinglet::nn
