#include "kinglet/methods/memoryformer/memory_operators.h"

#include <algorithm>
#include <initializer_list>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/kernels/memory_gradient.h"
#include "kinglet/kernels/memory_reference.h"
#include "kinglet/methods/memoryformer/cuda/memory_operators_cuda.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

#ifdef KINGLET_CUDA
constexpr bool kHasCuda = true;
#else
constexpr bool kHasCuda = false;
#endif

std::uint16_t* codes_of(const at::Tensor& codes) {
  return reinterpret_cast<std::uint16_t*>(codes.data_ptr<std::int16_t>());
}

template <typename Real>
std::int64_t first_nan(const at::Tensor& x) {
  const Real* const data = x.data_ptr<Real>();
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    if (std::isnan(data[i])) return i / x.size(1);
  }
  return -1;
}

MemoryWeighting weighting_of(AutogradContext* context) {
  return {static_cast<MemoryScore>(context->saved_data["score"].toInt()),
          context->saved_data["temperature"].toDouble()};
}

struct Hashed {
  at::Tensor weights, codes;
  std::int64_t first_nan;  // the first token with a NaN, or -1
};

// x [tokens, inputs] contiguous, fp32 or double
Hashed hash_tokens(const at::Tensor& x, std::int64_t tables, int bits, const MemoryWeighting& weighting) {
  const MemoryShape shape{tables, bits, 0};
  const std::int64_t tokens = x.size(0);
  Hashed made{at::empty({tokens, tables}, x.options()), at::empty({tokens, tables}, x.options().dtype(at::kShort)), -1};
  if constexpr (kHasCuda) {
    if (x.is_cuda()) {
      cuda::hash_on_gpu(shape, weighting, x, made.codes, made.weights);
      return made;
    }
  }
  if (x.scalar_type() == at::kDouble) {
    memory_hash_reference(shape, weighting, tokens, x.data_ptr<double>(), codes_of(made.codes),
                          made.weights.data_ptr<double>());
    made.first_nan = first_nan<double>(x);
  } else {
    made.first_nan = memory_hash(shape, weighting, tokens, x.data_ptr<float>(), codes_of(made.codes),
                                 made.weights.data_ptr<float>());
  }
  return made;
}

// -> {weights, codes, number of the first token with a NaN}
class HashFunction : public torch::autograd::Function<HashFunction> {
 public:
  static tensor_list forward(AutogradContext* context, const at::Tensor& x, std::int64_t tables, std::int64_t bits,
                             std::int64_t score, double temperature) {
    const Hashed made = hash_tokens(x, tables, static_cast<int>(bits), {static_cast<MemoryScore>(score), temperature});
    const at::Tensor strange = at::full({1}, made.first_nan, at::kLong);
    context->save_for_backward({x});
    context->saved_data["tables"] = tables;
    context->saved_data["bits"] = bits;
    context->saved_data["score"] = score;
    context->saved_data["temperature"] = temperature;
    context->mark_non_differentiable({made.codes, strange});
    return {made.weights, made.codes, strange};
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    const at::Tensor x = context->get_saved_variables()[0], slope = gradients[0].contiguous();
    const MemoryShape shape{context->saved_data["tables"].toInt(),
                            static_cast<int>(context->saved_data["bits"].toInt()), 0};
    const MemoryWeighting weighting = weighting_of(context);
    if constexpr (kHasCuda) {
      if (x.is_cuda()) return {cuda::hash_backward_on_gpu(shape, weighting, x, slope), {}, {}, {}, {}};
    }
    const at::Tensor grad_x = at::empty_like(x);
    if (x.scalar_type() == at::kDouble) {
      memory_hash_backward_reference(shape, weighting, x.size(0), x.data_ptr<double>(), slope.data_ptr<double>(),
                                     grad_x.data_ptr<double>());
    } else {
      memory_hash_backward(shape, weighting, x.size(0), x.data_ptr<float>(), slope.data_ptr<float>(),
                           grad_x.data_ptr<float>());
    }
    return {grad_x, {}, {}, {}, {}};
  }
};

at::Tensor sparse_rows(const TokensByRow& by_row, const at::Tensor& values, std::int64_t rows) {
  at::Tensor indices = at::empty({1, values.size(0)}, at::kLong);
  auto* const index = indices.data_ptr<std::int64_t>();
  for (std::size_t i = 0; i < by_row.rows().size(); ++i) index[i] = by_row.rows()[i].row;
  at::Tensor sparse = at::_sparse_coo_tensor_unsafe(indices, values, {rows, values.size(1)});
  return sparse._coalesced_(true);  // the rows are ascending, each once
}

// bias: [width] or without elements
at::Tensor sum_rows(const at::Tensor& weights, const at::Tensor& rows, const at::Tensor& bias, const at::Tensor& codes,
                    int bits) {
  const MemoryShape shape{codes.size(1), bits, rows.size(1)};
  if constexpr (kHasCuda) {
    if (weights.is_cuda()) return cuda::gather_on_gpu(shape, rows, codes, weights, bias);
  }
  const std::int64_t tokens = codes.size(0);
  const at::Tensor y = at::empty({tokens, shape.width}, weights.options());
  const bool has_bias = bias.defined() && bias.numel() > 0;
  if (weights.scalar_type() == at::kDouble) {
    memory_gather_reference(shape, rows.data_ptr<double>(), tokens, codes_of(codes), weights.data_ptr<double>(),
                            has_bias ? bias.data_ptr<double>() : nullptr, y.data_ptr<double>());
  } else {
    const DType dtype = rows.scalar_type() == at::kBFloat16 ? DType::kBF16 : DType::kF32;
    memory_gather(shape, {rows.data_ptr(), dtype}, tokens, codes_of(codes), weights.data_ptr<float>(),
                  has_bias ? bias.data_ptr<float>() : nullptr, y.data_ptr<float>());
  }
  return y;
}

struct LookupGradient {
  at::Tensor rows, weights;  // weights: undefined unless asked for
};

LookupGradient lookup_gradient(const MemoryShape& shape, const at::Tensor& rows, const at::Tensor& codes,
                               const at::Tensor& weights, const at::Tensor& slope, bool sparse, bool with_weights) {
  TORCH_CHECK(rows.scalar_type() == weights.scalar_type(), "tables of ", rows.scalar_type(), " cannot be trained");
  LookupGradient gradient;
  if constexpr (kHasCuda) {
    if (weights.is_cuda()) {
      gradient.rows = cuda::row_gradient_on_gpu(shape, codes, weights, slope, sparse);
      if (with_weights) gradient.weights = cuda::weight_gradient_on_gpu(shape, rows, codes, slope);
      return gradient;
    }
  }
  const std::int64_t tokens = codes.size(0);
  if (weights.scalar_type() == at::kDouble) {
    gradient.rows = at::zeros_like(rows);
    const at::Tensor dots = at::empty_like(weights);
    memory_gather_backward_reference(shape, rows.data_ptr<double>(), tokens, codes_of(codes),
                                     weights.data_ptr<double>(), slope.data_ptr<double>(),
                                     gradient.rows.data_ptr<double>(), dots.data_ptr<double>());
    if (with_weights) gradient.weights = dots;
    return gradient;
  }
  if (with_weights) gradient.weights = at::empty_like(weights);
  const TokensByRow by_row(shape, tokens, codes_of(codes));
  const auto read = static_cast<std::int64_t>(by_row.rows().size());
  const at::Tensor values = sparse ? at::empty({read, shape.width}) : at::zeros_like(rows);
  memory_gather_backward(shape, by_row, rows.data_ptr<float>(), weights.data_ptr<float>(), slope.data_ptr<float>(),
                         !sparse, values.data_ptr<float>(),
                         with_weights ? gradient.weights.data_ptr<float>() : nullptr);
  gradient.rows = sparse ? sparse_rows(by_row, values, rows.size(0)) : values;
  return gradient;
}

class LookupFunction : public torch::autograd::Function<LookupFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& weights, const at::Tensor& rows,
                            const at::Tensor& bias, const at::Tensor& codes, std::int64_t bits, bool sparse) {
    const at::Tensor y = sum_rows(weights, rows, bias, codes, static_cast<int>(bits));
    const bool has_bias = bias.numel() > 0;
    context->save_for_backward({weights, rows, codes});
    context->saved_data["bits"] = bits;
    context->saved_data["sparse"] = sparse;
    context->saved_data["has_bias"] = has_bias;
    context->saved_data["needs_weights"] = weights.requires_grad();
    return y;
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &weights = saved[0], &rows = saved[1], &codes = saved[2], slope = gradients[0].contiguous();
    const MemoryShape shape{codes.size(1), static_cast<int>(context->saved_data["bits"].toInt()), rows.size(1)};
    const bool sparse = context->saved_data["sparse"].toBool(),
               with_weights = context->saved_data["needs_weights"].toBool();
    const LookupGradient gradient = lookup_gradient(shape, rows, codes, weights, slope, sparse, with_weights);
    at::Tensor grad_bias;
    if (context->saved_data["has_bias"].toBool()) grad_bias = slope.sum(0);
    return {gradient.weights, gradient.rows, grad_bias, {}, {}, {}};
  }
};

// Whether autograd has to know of a call; its bookkeeping costs more than one token's look-up.
bool wants_gradient(std::initializer_list<const at::Tensor*> inputs) {
  if (!at::GradMode::is_enabled()) return false;
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const at::Tensor* input) { return input->defined() && input->requires_grad(); });
}

}  // namespace

MemoryCodes memory_codes(const at::Tensor& x, std::int64_t tables, int bits, const MemoryWeighting& weighting,
                         std::string_view where) {
  TORCH_CHECK(x.dim() >= 1 && x.size(-1) == tables * bits, "memory layer: input ", x.sizes(), " for ", tables,
              " tables of ", bits, " bits");
  TORCH_CHECK(x.is_cpu() || (kHasCuda && x.is_cuda()), "memory layer: a tensor of ", x.device(),
              kHasCuda ? "" : "; this Kinglet was built without CUDA");
  const at::ScalarType type = x.scalar_type() == at::kDouble && x.is_cpu() ? at::kDouble : at::kFloat;
  const at::Tensor rows = x.to(type).reshape({-1, x.size(-1)}).contiguous();
  Hashed made;
  if (wants_gradient({&rows})) {
    const tensor_list parts = HashFunction::apply(rows, tables, static_cast<std::int64_t>(bits),
                                                  static_cast<std::int64_t>(weighting.score), weighting.temperature);
    made = {parts[0], parts[1], *parts[2].data_ptr<std::int64_t>()};
  } else {
    made = hash_tokens(rows, tables, bits, weighting);
  }
  if (made.first_nan >= 0) {
    throw failed(where, fmt::format("the input of token {} has a NaN", made.first_nan),
                 "the weights or the layers before are damaged");
  }
  return {made.codes, made.weights};
}

at::Tensor memory_lookup(const MemoryCodes& codes, const at::Tensor& rows, const at::Tensor& bias, int bits,
                         bool sparse_gradient) {
  TORCH_CHECK(rows.dim() == 2 && rows.is_contiguous() && rows.size(0) == codes.codes.size(1) << bits,
              "memory layer: tables ", rows.sizes(), " for ", codes.codes.size(1), " tables of ", bits, " bits");
  TORCH_CHECK(rows.scalar_type() == codes.weights.scalar_type() || rows.scalar_type() == at::kBFloat16,
              "memory layer: tables of ", rows.scalar_type(), ", weights of ", codes.weights.scalar_type());
  TORCH_CHECK(rows.device() == codes.weights.device(), "memory layer: tables on ", rows.device(), ", input on ",
              codes.weights.device());
  if (!wants_gradient({&codes.weights, &rows, &bias})) return sum_rows(codes.weights, rows, bias, codes.codes, bits);
  const at::Tensor added = bias.defined() ? bias : at::empty({0}, codes.weights.options());
  return LookupFunction::apply(codes.weights, rows, added, codes.codes, static_cast<std::int64_t>(bits),
                               sparse_gradient);
}

at::Tensor memory_lookup(const MemoryCodes& codes, const MemoryShape& shape, const ConstTables& tables,
                         const at::Tensor& bias) {
  TORCH_CHECK(
      codes.weights.scalar_type() == at::kFloat && codes.weights.is_cpu() && codes.codes.size(1) == shape.tables,
      "memory layer: packed tables of another shape");
  const at::Tensor y = at::empty({codes.codes.size(0), shape.width}, at::kFloat);
  memory_gather(shape, tables, codes.codes.size(0), codes_of(codes.codes), codes.weights.data_ptr<float>(),
                bias.defined() ? bias.data_ptr<float>() : nullptr, y.data_ptr<float>());
  return y;
}

}  // namespace kinglet
