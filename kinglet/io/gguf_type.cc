#include "kinglet/io/gguf_type.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace kinglet {
namespace {

constexpr std::array<GgufTypeFacts, 34> kGgufTypes = {{{GgufType::kF32, "F32", 1, 4},
                                                       {GgufType::kF16, "F16", 1, 2},
                                                       {GgufType::kQ4_0, "Q4_0", 32, 18},
                                                       {GgufType::kQ4_1, "Q4_1", 32, 20},
                                                       {GgufType::kQ5_0, "Q5_0", 32, 22},
                                                       {GgufType::kQ5_1, "Q5_1", 32, 24},
                                                       {GgufType::kQ8_0, "Q8_0", 32, 34},
                                                       {GgufType::kQ8_1, "Q8_1", 32, 40},
                                                       {GgufType::kQ2_K, "Q2_K", 256, 84},
                                                       {GgufType::kQ3_K, "Q3_K", 256, 110},
                                                       {GgufType::kQ4_K, "Q4_K", 256, 144},
                                                       {GgufType::kQ5_K, "Q5_K", 256, 176},
                                                       {GgufType::kQ6_K, "Q6_K", 256, 210},
                                                       {GgufType::kQ8_K, "Q8_K", 256, 292},
                                                       {GgufType::kIQ2_XXS, "IQ2_XXS", 256, 66},
                                                       {GgufType::kIQ2_XS, "IQ2_XS", 256, 74},
                                                       {GgufType::kIQ3_XXS, "IQ3_XXS", 256, 98},
                                                       {GgufType::kIQ1_S, "IQ1_S", 256, 50},
                                                       {GgufType::kIQ4_NL, "IQ4_NL", 32, 18},
                                                       {GgufType::kIQ3_S, "IQ3_S", 256, 110},
                                                       {GgufType::kIQ2_S, "IQ2_S", 256, 82},
                                                       {GgufType::kIQ4_XS, "IQ4_XS", 256, 136},
                                                       {GgufType::kI8, "I8", 1, 1},
                                                       {GgufType::kI16, "I16", 1, 2},
                                                       {GgufType::kI32, "I32", 1, 4},
                                                       {GgufType::kI64, "I64", 1, 8},
                                                       {GgufType::kF64, "F64", 1, 8},
                                                       {GgufType::kIQ1_M, "IQ1_M", 256, 56},
                                                       {GgufType::kBF16, "BF16", 1, 2},
                                                       {GgufType::kTQ1_0, "TQ1_0", 256, 54},
                                                       {GgufType::kTQ2_0, "TQ2_0", 256, 66},
                                                       {GgufType::kMXFP4, "MXFP4", 32, 17},
                                                       {GgufType::kNVFP4, "NVFP4", 64, 36},
                                                       {GgufType::kQ1_0, "Q1_0", 128, 18}}};

}  // namespace

std::optional<GgufTypeFacts> find_gguf_type(std::uint32_t number) {
  const auto* const found = std::find_if(kGgufTypes.begin(), kGgufTypes.end(), [&](const GgufTypeFacts& facts) {
    return static_cast<std::uint32_t>(facts.type) == number;
  });
  if (found == kGgufTypes.end()) return std::nullopt;
  return *found;
}

GgufTypeFacts facts_of(GgufType type) {
  const auto facts = find_gguf_type(static_cast<std::uint32_t>(type));
  assert(facts);
  return facts.value_or(GgufTypeFacts{});
}

std::string_view gguf_type_name(GgufType type) { return facts_of(type).name; }

std::optional<DType> plain_dtype(GgufType type) {
  const GgufTypeFacts facts = facts_of(type);
  if (facts.elements != 1) return std::nullopt;
  return parse_dtype(facts.name);  // both spell plain numbers alike
}

}  // namespace kinglet
