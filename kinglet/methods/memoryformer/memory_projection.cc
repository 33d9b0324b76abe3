#include "kinglet/methods/memoryformer/memory_projection.h"

#include "kinglet/nn/torch.h"

namespace kinglet {

MemoryProjection::MemoryProjection(const MemoryShape& shape, const MemoryWeighting& weighting, std::string place,
                                   bool with_tables)
    : shape_(shape), weighting_(weighting), place_(std::move(place)) {
  tables = register_parameter("tables", at::empty({with_tables ? shape.rows() : 0, shape.width}), with_tables);
  bias = register_parameter("bias", at::empty({shape.width}));
}

at::Tensor MemoryProjection::forward(const at::Tensor& x) { return look_up(hash(x), x.sizes()); }

MemoryCodes MemoryProjection::hash(const at::Tensor& x) const {
  if (usage_) record(x);
  return memory_codes(x, shape_.tables, shape_.bits, weighting_, place_);
}

at::Tensor MemoryProjection::look_up(const MemoryCodes& codes, at::IntArrayRef input_sizes) const {
  const at::Tensor y = given_.owner ? memory_lookup(codes, shape_, given_.view, bias)
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
  const at::Tensor on_cpu = codes.codes.cpu();
  const auto* const numbers = reinterpret_cast<const std::uint16_t*>(on_cpu.data_ptr<std::int16_t>());
  for (std::int64_t i = 0; i < on_cpu.numel(); ++i) {
    ++usage.reads[static_cast<std::size_t>((i % shape_.tables << shape_.bits) + numbers[i])];
  }
  usage.tokens += codes.codes.size(0);
  usage.sum_of_p += codes.weights.sum(at::kDouble).item<double>();
}

void MemoryProjection::use_tables(ReadOnlyTables given) {
  TORCH_CHECK(given.owner && given.view.data != nullptr, place_, " is given no tables");
  given_ = std::move(given);
  tables.requires_grad_(false);
  tables.set_data(at::empty({0, shape_.width}));
}

ConstTables MemoryProjection::table_view() const {
  if (given_.owner) return given_.view;
  const at::ScalarType type = tables.scalar_type();
  TORCH_CHECK(tables.size(0) == shape_.rows() && tables.is_contiguous(), place_, " has no tables");
  TORCH_CHECK(type == at::kFloat || type == at::kBFloat16, place_, " has tables of ", type);
  return {tables.data_ptr(), type == at::kFloat ? DType::kF32 : DType::kBF16};
}

void MemoryProjection::pack(DType dtype, TableLayout layout) {
  const ConstTables from = table_view();
  TORCH_CHECK(from.layout == TableLayout::kRows && (from.dtype != DType::kI8 || dtype == DType::kI8), place_,
              " is packed already");
  auto packed = std::make_shared<const PackedTables>(shape_, from, dtype, layout);
  const ConstTables view = packed->view();
  use_tables({view, std::move(packed)});
}

void MemoryProjection::round_to_int8() {
  const ConstTables from = table_view();
  if (from.dtype != DType::kI8 && from.layout == TableLayout::kRows) pack(DType::kI8, TableLayout::kRows);
}

MemoryAttention::MemoryAttention(const nn::SelfAttentionSettings& settings, const MemoryShape& shape,
                                 const MemoryWeighting& weighting, const std::string& place, bool with_tables)
    : settings_(settings),
      q_(register_module("q", std::make_shared<MemoryProjection>(shape, weighting, place, with_tables))),
      k_(register_module("k", std::make_shared<MemoryProjection>(shape, weighting, place, with_tables))),
      v_(register_module("v", std::make_shared<MemoryProjection>(shape, weighting, place, with_tables))) {}

at::Tensor MemoryAttention::forward(const at::Tensor& x, const nn::AttentionContext& context) {
  const MemoryCodes codes = q_->hash(x);
  const auto look_up = [&](const MemoryProjection& projection) { return projection.look_up(codes, x.sizes()); };
  return nn::attend_heads(settings_, look_up(*q_), look_up(*k_), look_up(*v_), context);
}

MemoryFfn::MemoryFfn(const MemoryShape& up, const MemoryShape& down, const MemoryWeighting& weighting,
                     const std::string& place, bool with_tables)
    : up_(register_module("up", std::make_shared<MemoryProjection>(up, weighting, place + ".up", with_tables))),
      down_(register_module("down", std::make_shared<MemoryProjection>(down, weighting, place + ".down", with_tables))),
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
