// Element types of tensors in GGUF files: plain numbers, and blocks in which several elements share their scales.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "kinglet/io/dtype.h"

namespace kinglet {

// The values are those of the format.
enum class GgufType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,
  kQ1_0 = 41,
};

// A row is cut into blocks of `elements` neighbours, each stored in `bytes` bytes; plain numbers are blocks of one.
struct GgufTypeFacts {
  GgufType type = GgufType::kF32;
  std::string_view name;  // the format's spelling: "Q4_K"
  std::uint32_t elements = 1;
  std::uint32_t bytes = 4;
};

// Nothing for a number that the format does not define.
std::optional<GgufTypeFacts> find_gguf_type(std::uint32_t number);
GgufTypeFacts facts_of(GgufType type);
std::string_view gguf_type_name(GgufType type);

// The same type elsewhere in the house; nothing for blocks.
std::optional<DType> plain_dtype(GgufType type);

}  // namespace kinglet
