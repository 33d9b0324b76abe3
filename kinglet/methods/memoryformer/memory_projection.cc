#include "kinglet/methods/memoryformer/memory_projection.h"

#include "kinglet/nn/torch.h"

namespace kinglet {

MemoryProjection::MemoryProjection(const MemoryShape& shape, const MemoryWeighting& weighting, std::string place)
    : shape_(shape), weighting_(weighting), place_(std::move(place)) {
  tables = register_parameter("tables", at::empty({shape.rows(), shape.width}));
  bias = register_parameter("bias", at::empty({shape.width}));
}

at::Tensor MemoryProjection::forward(const at::Tensor& x) { return look_up(hash(x), x.sizes()); }

MemoryCodes MemoryProjection::hash(const at::Tensor& x) const {
  if (usage_) record(x);
  return memory_codes(x, shape_.tables, shape_.bits, weighting_, place_);
}

at::Tensor MemoryProjection::look_up(const MemoryCodes& codes, at::IntArrayRef input_sizes) const {
  const at::Tensor y = packed_ ? memory_lookup(codes, shape_, packed_->view(), bias)
                               : memory_lookup(codes, tables, bias, shape_.bits, sparse_gradient_);
  auto sizes = input_sizes.vec();
  sizes.back() = shape_.width;
  return y.view(sizes);
}

void MemoryProjection::record(const at::Tensor& x) const {
  const at::NoGradGuard no_grad;
  const MemoryCodes codes =
      memory_codes(x, shape_.tables, shape_.bits, {MemoryScore::kProb, weighting_.temperature}, place_);
  MemoryUsage& usage = *usage_;
  usage.place = place_;
  usage.tables = shape_.tables;
  usage.bits = shape_.bits;
  usage.reads.resize(static_cast<std::size_t>(shape_.rows()));
  const auto* const numbers = reinterpret_cast<const std::uint16_t*>(codes.codes.data_ptr<std::int16_t>());
  for (std::int64_t i = 0; i < codes.codes.numel(); ++i) {
    ++usage.reads[static_cast<std::size_t>((i % shape_.tables << shape_.bits) + numbers[i])];
  }
  usage.tokens += codes.codes.size(0);
  usage.sum_of_p += codes.weights.sum(at::kDouble).item<double>();
}

void MemoryProjection::pack(DType dtype, TableLayout layout) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(!packed_, place_, " is packed already");
  const at::Tensor rows = tables.to(at::kFloat).contiguous();
  packed_ = std::make_shared<const PackedTables>(shape_, rows.data_ptr<float>(), dtype, layout);
  tables.requires_grad_(false);
  tables.set_data(at::empty({0, shape_.width}));
}

void MemoryProjection::round_to_int8() {
  if (!packed_) pack(DType::kI8, TableLayout::kRows);
}

MemoryAttention::MemoryAttention(const nn::SelfAttentionSettings& settings, const MemoryShape& shape,
                                 const MemoryWeighting& weighting, const std::string& place)
    : settings_(settings),
      q_(register_module("q", std::make_shared<MemoryProjection>(shape, weighting, place))),
      k_(register_module("k", std::make_shared<MemoryProjection>(shape, weighting, place))),
      v_(register_module("v", std::make_shared<MemoryProjection>(shape, weighting, place))) {}

at::Tensor MemoryAttention::forward(const at::Tensor& x, const nn::AttentionContext& context) {
  const MemoryCodes codes = q_->hash(x);
  const auto look_up = [&](const MemoryProjection& projection) { return projection.look_up(codes, x.sizes()); };
  return nn::attend_heads(settings_, look_up(*q_), look_up(*k_), look_up(*v_), context);
}

MemoryFfn::MemoryFfn(const MemoryShape& up, const MemoryShape& down, const MemoryWeighting& weighting,
                     const std::string& place)
    : up_(register_module("up", std::make_shared<MemoryProjection>(up, weighting, place + ".up"))),
      down_(register_module("down", std::make_shared<MemoryProjection>(down, weighting, place + ".down"))),
      norm_(register_module("norm", std::make_shared<nn::LayerNorm>(up.width, 1e-5))) {}

at::Tensor MemoryFfn::forward(const at::Tensor& x) { return down_->forward(norm_->forward(up_->forward(x))); }

std::vector<std::shared_ptr<MemoryProjection>> memory_projections(const torch::nn::Module& model) {
  std::vector<std::shared_ptr<MemoryProjection>> all;
  for (const auto& module : model.modules(false)) {
    if (auto projection = std::dynamic_pointer_cast<MemoryProjection>(module)) all.push_back(std::move(projection));
  }
  return all;
}

}  // namespace kinglet
