#include "bench/memoryformer/products.h"

#include <cstring>

namespace kinglet::bench {
namespace {

using dnnl::memory;

memory::data_type weight_type(DenseLayers::Type type) {
  switch (type) {
    case DenseLayers::Type::kF32:
      return memory::data_type::f32;
    case DenseLayers::Type::kBF16:
      return memory::data_type::bf16;
    case DenseLayers::Type::kI8:
      break;
  }
  return memory::data_type::s8;
}

memory filled(const memory::desc& desc, const dnnl::engine& engine) {
  memory result(desc, engine);
  std::memset(result.get_data_handle(), 1, desc.get_size());
  return result;
}

}  // namespace

DenseLayers::DenseLayers(Type type, std::int64_t tokens, std::int64_t in, std::int64_t out, std::int64_t copies) {
  const memory::data_type weight = weight_type(type);
  const memory::data_type input = type == Type::kI8 ? memory::data_type::u8 : weight;
  const memory::desc x({tokens, in}, input, memory::format_tag::ab);
  const memory::desc y({tokens, out}, memory::data_type::f32, memory::format_tag::ab);
  const memory::desc any({in, out}, weight, memory::format_tag::any);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (type == Type::kI8) attributes.set_output_scales(0, {0.01F});
  const dnnl::matmul::primitive_desc found(dnnl::matmul::desc(x, any, y), attributes, engine_);
  product_ = dnnl::matmul(found);
  weight_desc_ = found.weights_desc();
  x_ = filled(x, engine_);
  y_ = filled(y, engine_);
  scratch_ = memory(found.scratchpad_desc(), engine_);
  const std::size_t bytes = (weight_bytes() + 63) / 64 * 64;
  all_.assign(bytes * static_cast<std::size_t>(copies) + 64, 1);
  char* const start = all_.data() + (64 - reinterpret_cast<std::uintptr_t>(all_.data()) % 64) % 64;
  for (std::int64_t i = 0; i < copies; ++i) {
    arguments_.push_back(
        {{DNNL_ARG_SRC, x_},
         {DNNL_ARG_WEIGHTS, memory(weight_desc_, engine_, start + static_cast<std::size_t>(i) * bytes)},
         {DNNL_ARG_SCRATCHPAD, scratch_},
         {DNNL_ARG_DST, y_}});
  }
}

void DenseLayers::run(std::int64_t copy) {
  product_.execute(stream_, arguments_[static_cast<std::size_t>(copy)]);
  stream_.wait();
}

}  // namespace kinglet::bench
