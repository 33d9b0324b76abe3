#include "kinglet/methods/memoryformer/from_dense.h"

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/methods/memoryformer/memory_operators.h"
#include "kinglet/methods/memoryformer/memoryformer.h"
#include "kinglet/nn/torch.h"

namespace kinglet {
namespace {

void require(bool holds, const std::string& problem) {
  if (!holds) throw bad_input("", problem, "both models need the same width, layers, heads and vocabulary");
}

void check_twins(const Decoder& memoryformer, const Decoder& neox) {
  const MemoryFormerConfig* const config = memoryformer_config_of(memoryformer);
  require(config != nullptr, "the model to initialise is no MemoryFormer");
  require(neox.parts() == nullptr && neox.config().family == Family::kGptNeox, "the dense model is no GPT-NeoX");
  require(config->weighting.score == MemoryScore::kNone, "tables of means go with the score 'none'");
  require(config->outer_norm == OuterNorm::kLayer, "the dense norms go with norm_outer 'layernorm'");
  const DecoderConfig &a = memoryformer.config(), &b = neox.config();
  for (const auto& [name, one, other] :
       {std::tuple{"hidden_size", a.hidden_size, b.hidden_size}, std::tuple{"layers", a.num_layers, b.num_layers},
        std::tuple{"heads", a.num_heads, b.num_heads},
        std::tuple{"vocabulary", a.vocabulary_size, b.vocabulary_size}}) {
    require(one == other, fmt::format("{} {} and {} differ", name, one, other));
  }
}

// What every layer of a GPT-NeoX reads, [batch, tokens, hidden] each.
std::vector<at::Tensor> layer_inputs(Decoder& neox, const at::Tensor& tokens) {
  const at::Tensor positions = at::arange(0, tokens.size(1), at::kLong).unsqueeze(0);
  const nn::RotaryAngles angles = nn::rotary_angles(neox.config().rotary, positions);
  at::Tensor x = at::embedding(neox.named_parameters()["embed_tokens"], tokens).to(at::kFloat);
  std::vector<at::Tensor> inputs;
  for (const auto& module : neox.modules(false)) {
    auto* const layer = dynamic_cast<DecoderLayer*>(module.get());
    if (layer == nullptr) continue;
    inputs.push_back(x);
    x = layer->forward(x, {angles, {}, nullptr, static_cast<std::int64_t>(inputs.size()) - 1});
  }
  return inputs;
}

}  // namespace

at::Tensor tables_from_dense(const at::Tensor& weight_in, const at::Tensor& inputs_in, int bits) {
  const at::NoGradGuard no_grad;
  const at::Tensor weight = weight_in.to(at::kFloat), inputs = inputs_in.to(at::kFloat).contiguous();
  const std::int64_t in = weight.size(1), tables = in / bits, rows = std::int64_t{1} << bits;
  TORCH_CHECK(in % bits == 0 && inputs.dim() == 2 && inputs.size(1) == in, "inputs ", inputs.sizes(), " for ",
              weight.sizes(), " and ", bits, " bits");
  const MemoryCodes codes = memory_codes(inputs, tables, bits, {MemoryScore::kNone, 1.0}, "inputs");
  const at::Tensor patterns =
      at::arange(0, rows, at::kLong).unsqueeze(1).bitwise_right_shift(at::arange(0, bits, at::kLong)).bitwise_and(1);
  const at::Tensor signs = (patterns * 2 - 1).to(at::kFloat);  // [rows, bits]
  at::Tensor result = at::empty({tables * rows, weight.size(0)});
  for (std::int64_t k = 0; k < tables; ++k) {
    const at::Tensor z = inputs.narrow(1, k * bits, bits);
    const at::Tensor code = codes.codes.select(1, k).to(at::kLong).bitwise_and(rows - 1);
    const at::Tensor counts = at::zeros({rows}).index_add(0, code, at::ones({z.size(0)})).unsqueeze(1);
    const at::Tensor sums = at::zeros({rows, bits}).index_add(0, code, z);
    const at::Tensor means = at::where(counts > 0, sums / counts.clamp_min(1), signs * z.abs().mean(0));
    result.narrow(0, k * rows, rows).copy_(at::mm(means, weight.narrow(1, k * bits, bits).t()));
  }
  return result;
}

void initialize_from_neox(Decoder& memoryformer, Decoder& neox, const at::Tensor& tokens) {
  const at::NoGradGuard no_grad;
  check_twins(memoryformer, neox);
  auto from = neox.named_parameters(), to = memoryformer.named_parameters();
  const auto copy = [&](const std::string& name, const std::string& other) {
    at::Tensor target = to[name];
    target.copy_(from[other].view(target.sizes()));
  };
  copy("embed_tokens", "embed_tokens");
  copy("lm_head", neox.config().tied_embeddings ? "embed_tokens" : "lm_head");
  for (const char* part : {"weight", "bias"})
    copy(fmt::format("final_norm.{}", part), fmt::format("final_norm.{}", part));
  const int bits = memoryformer_config_of(memoryformer)->bits;
  const std::vector<at::Tensor> seen = layer_inputs(neox, tokens);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const std::string layer = fmt::format("layers.{}.", i), attention = layer + "attention.";
    for (const std::string norm : {"attention_norm", "ffn_norm"}) {
      for (const std::string part : {".weight", ".bias"}) copy(layer + norm + part, layer + norm + part);
    }
    const at::Tensor normed = at::layer_norm(seen[i], {seen[i].size(-1)}, from[layer + "attention_norm.weight"],
                                             from[layer + "attention_norm.bias"], neox.config().norm_eps)
                                  .reshape({-1, seen[i].size(-1)});
    for (const std::string part : {"q", "k", "v"}) {
      at::Tensor weight = from[attention + part + ".weight"].to(at::kFloat);
      at::Tensor bias = from.contains(attention + part + ".bias") ? from[attention + part + ".bias"].to(at::kFloat)
                                                                  : at::zeros({weight.size(0)});
      if (part == "v") {
        const at::Tensor out = from[attention + "o.weight"].to(at::kFloat);
        weight = at::mm(out, weight);
        bias = at::mv(out, bias);
        if (from.contains(attention + "o.bias")) bias = bias + from[attention + "o.bias"];
      }
      to[attention + part + ".tables"].copy_(tables_from_dense(weight, normed, bits));
      to[attention + part + ".bias"].copy_(bias);
    }
  }
}

}  // namespace kinglet
