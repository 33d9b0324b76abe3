#include "kinglet/methods/memoryformer/cuda/memory_operators_cuda.h"

#include "kinglet/kernels/cuda/memory_layer_cuda.h"
#include "kinglet/methods/memoryformer/cuda/current_stream.h"
#include "kinglet/nn/torch.h"

namespace kinglet::cuda {
namespace {

std::uint16_t* code_numbers(const at::Tensor& codes) {
  return reinterpret_cast<std::uint16_t*>(codes.data_ptr<std::int16_t>());
}

struct SortedCodes {
  at::Tensor codes;   // [tables, tokens] int32
  at::Tensor tokens;  // [tables, tokens] int64
};

SortedCodes sort_codes(const at::Tensor& codes) {
  const at::Tensor by_table = codes.t().to(at::kInt).bitwise_and(0xffff).contiguous();
  const auto [sorted, order] = at::sort(by_table, c10::optional<bool>(true), 1, false);
  return {sorted.contiguous(), order.contiguous()};
}

// The rows that were read, ascending: [rows] int64.
at::Tensor rows_read(const MemoryShape& shape, const SortedCodes& sorted) {
  const at::Tensor first = at::arange(shape.tables, sorted.tokens.options()).mul(shape.rows_of_table()).unsqueeze(1);
  return std::get<0>(at::unique_consecutive(sorted.codes.add(first).flatten()));
}

}  // namespace

void hash_on_gpu(const MemoryShape& shape, const MemoryWeighting& weighting, const at::Tensor& x,
                 const at::Tensor& codes, const at::Tensor& weights) {
  const c10::DeviceGuard guard(x.device());
  memory_hash(shape, weighting, x.size(0), x.data_ptr<float>(), code_numbers(codes), weights.data_ptr<float>(),
              current_stream(x));
}

at::Tensor hash_backward_on_gpu(const MemoryShape& shape, const MemoryWeighting& weighting, const at::Tensor& x,
                                const at::Tensor& grad_weights) {
  const c10::DeviceGuard guard(x.device());
  const at::Tensor grad_x = at::empty_like(x);
  memory_hash_backward(shape, weighting, x.size(0), x.data_ptr<float>(), grad_weights.data_ptr<float>(),
                       grad_x.data_ptr<float>(), current_stream(x));
  return grad_x;
}

at::Tensor gather_on_gpu(const MemoryShape& shape, const at::Tensor& rows, const at::Tensor& codes,
                         const at::Tensor& weights, const at::Tensor& bias) {
  const c10::DeviceGuard guard(weights.device());
  const std::int64_t tokens = codes.size(0);
  const at::Tensor y = at::empty({tokens, shape.width}, weights.options());
  const bool has_bias = bias.defined() && bias.numel() > 0;
  memory_gather(shape, rows.data_ptr(), rows.scalar_type() == at::kBFloat16 ? DType::kBF16 : DType::kF32, tokens,
                code_numbers(codes), weights.data_ptr<float>(), has_bias ? bias.data_ptr<float>() : nullptr,
                y.data_ptr<float>(), current_stream(weights));
  return y;
}

at::Tensor weight_gradient_on_gpu(const MemoryShape& shape, const at::Tensor& rows, const at::Tensor& codes,
                                  const at::Tensor& grad_out) {
  const c10::DeviceGuard guard(rows.device());
  const at::Tensor grad_weights = at::empty({codes.size(0), shape.tables}, grad_out.options());
  memory_weight_gradient(shape, rows.data_ptr<float>(), codes.size(0), code_numbers(codes), grad_out.data_ptr<float>(),
                         grad_weights.data_ptr<float>(), current_stream(rows));
  return grad_weights;
}

at::Tensor row_gradient_on_gpu(const MemoryShape& shape, const at::Tensor& codes, const at::Tensor& weights,
                               const at::Tensor& grad_out, bool sparse) {
  const c10::DeviceGuard guard(weights.device());
  const SortedCodes by_code = sort_codes(codes);
  const SortedTokens sorted{by_code.codes.data_ptr<std::int32_t>(), by_code.tokens.data_ptr<std::int64_t>()};
  const at::Tensor read = sparse ? rows_read(shape, by_code) : at::Tensor();
  const std::int64_t count = sparse ? read.size(0) : shape.rows();
  const at::Tensor values = at::empty({count, shape.width}, weights.options());
  memory_row_gradient(shape, codes.size(0), sorted, sparse ? read.data_ptr<std::int64_t>() : nullptr, count,
                      weights.data_ptr<float>(), grad_out.data_ptr<float>(), values.data_ptr<float>(),
                      current_stream(weights));
  if (!sparse) return values;
  return at::_sparse_coo_tensor_unsafe(read.unsqueeze(0), values, {shape.rows(), shape.width})._coalesced_(true);
}

}  // namespace kinglet::cuda
