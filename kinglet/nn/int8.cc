#include "kinglet/nn/int8.h"

#include "kinglet/base/parallel.h"
#include "kinglet/kernels/few_rows.h"
#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

constexpr std::int64_t kRowsAtOnce = 64;  // a task

std::int64_t groups_of(std::int64_t in) { return (in + kInt8Group - 1) / kInt8Group; }

}  // namespace

Int8Matrix quantize_int8(const at::Tensor& matrix) {
  TORCH_CHECK(matrix.dim() == 2, "only matrices are rounded to int8");
  const at::NoGradGuard no_grad;
  const std::int64_t out = matrix.size(0), in = matrix.size(1), groups = groups_of(in);
  const at::Tensor source = matrix.detach().contiguous();
  Int8Matrix result{at::empty({out, in}, at::kChar), at::empty({out, groups}, at::kFloat)};
  auto* const values = result.values.data_ptr<std::int8_t>();
  auto* const scales = result.scales.data_ptr<float>();
  parallel_ranges(out, kRowsAtOnce, [&](std::int64_t begin, std::int64_t end) {
    const at::NoGradGuard inside;  // the setting is a thread's
    const at::Tensor rows = source.slice(0, begin, end).to(at::kFloat);
    for (std::int64_t row = begin; row < end; ++row) {
      quantize_int8_row(rows.data_ptr<float>() + (row - begin) * in, in, values + row * in, scales + row * groups);
    }
  });
  return result;
}

at::Tensor dequantize_int8(const at::Tensor& values, const at::Tensor& scales) {
  const std::int64_t out = values.size(0), in = values.size(1), groups = groups_of(in);
  at::Tensor result = at::empty({out, in}, at::kFloat);
  const auto* const bytes = values.data_ptr<std::int8_t>();
  const auto* const scale_rows = scales.data_ptr<float>();
  auto* const numbers = result.data_ptr<float>();
  parallel_ranges(out, kRowsAtOnce, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      dequantize_int8_row(bytes + row * in, scale_rows + row * groups, in, numbers + row * in);
    }
  });
  return result;
}

at::Tensor embedding_rows(const at::Tensor& matrix, const at::Tensor& scales, const at::Tensor& rows) {
  if (matrix.scalar_type() != at::kChar) return at::embedding(matrix, rows).to(at::kFloat);
  const at::Tensor flat = rows.reshape({-1});
  auto sizes = rows.sizes().vec();
  sizes.push_back(matrix.size(1));
  return dequantize_int8(matrix.index_select(0, flat), scales.index_select(0, flat)).view(sizes);
}

}  // namespace kinglet::nn
