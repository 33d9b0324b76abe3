#include "kinglet/io/gguf_dequantize.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/parallel.h"
#include "kinglet/io/number_array.h"

namespace kinglet {
namespace {

using Block = const std::byte*;

constexpr std::uint64_t kElementsPerTask = std::uint64_t{1} << 16;

float half_at(Block at) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, at, sizeof(bits));
  return half_to_float(bits);
}

std::uint32_t word_at(Block at) {
  std::uint32_t word = 0;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

int low(std::byte byte) { return std::to_integer<int>(byte & std::byte{0xF}); }
int high(std::byte byte) { return std::to_integer<int>(byte >> 4); }
int two_bits(std::byte byte, int shift) { return std::to_integer<int>(byte >> shift) & 3; }
int one_bit(std::byte byte, int shift) { return std::to_integer<int>(byte >> shift) & 1; }
int signed_byte(std::byte byte) { return static_cast<std::int8_t>(byte); }

// ---- blocks of 32: the first half of the elements stands in the low four bits, the second in the high ones ----------

// scale (f16) | 32 x i8
void q8_0(Block block, float* out) {
  const float scale = half_at(block);
  for (int i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(signed_byte(block[2 + i]));
}

// scale (f16) | 32 x 4 bits, 8 stands for zero
void q4_0(Block block, float* out) {
  const float scale = half_at(block);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * static_cast<float>(low(block[2 + i]) - 8);
    out[i + 16] = scale * static_cast<float>(high(block[2 + i]) - 8);
  }
}

// scale (f16) | minimum (f16) | 32 x 4 bits
void q4_1(Block block, float* out) {
  const float scale = half_at(block), minimum = half_at(block + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * static_cast<float>(low(block[4 + i])) + minimum;
    out[i + 16] = scale * static_cast<float>(high(block[4 + i])) + minimum;
  }
}

// scale (f16) | 32 fifth bits | 32 x 4 bits, 16 stands for zero
void q5_0(Block block, float* out) {
  const float scale = half_at(block);
  const std::uint32_t fifth = word_at(block + 2);
  for (int i = 0; i < 16; ++i) {
    const auto first = static_cast<int>(fifth >> i & 1) << 4, second = static_cast<int>(fifth >> (i + 16) & 1) << 4;
    out[i] = scale * static_cast<float>((low(block[6 + i]) | first) - 16);
    out[i + 16] = scale * static_cast<float>((high(block[6 + i]) | second) - 16);
  }
}

// scale (f16) | minimum (f16) | 32 fifth bits | 32 x 4 bits
void q5_1(Block block, float* out) {
  const float scale = half_at(block), minimum = half_at(block + 2);
  const std::uint32_t fifth = word_at(block + 4);
  for (int i = 0; i < 16; ++i) {
    const auto first = static_cast<int>(fifth >> i & 1) << 4, second = static_cast<int>(fifth >> (i + 16) & 1) << 4;
    out[i] = scale * static_cast<float>(low(block[8 + i]) | first) + minimum;
    out[i + 16] = scale * static_cast<float>(high(block[8 + i]) | second) + minimum;
  }
}

// ---- blocks of 256: groups of 16 or 32 have small integer scales, which the block's own scales multiply -----------

// 16 x (4 bits scale, 4 bits minimum) | 256 x 2 bits | scale (f16) | scale of the minima (f16)
void q2_k(Block block, float* out) {
  const Block scales = block, bits = block + 16;
  const float scale = half_at(block + 80), minimum = half_at(block + 82);
  for (int group = 0; group < 16; ++group, out += 16) {
    const float step = scale * static_cast<float>(low(scales[group]));
    const float offset = minimum * static_cast<float>(high(scales[group]));
    const Block from = bits + group / 8 * 32 + group % 2 * 16;
    const int shift = group % 8 / 2 * 2;
    for (int i = 0; i < 16; ++i) out[i] = step * static_cast<float>(two_bits(from[i], shift)) - offset;
  }
}

// 256 third bits (set: nothing to subtract) | 256 x 2 bits | 16 x 6 bits scales | scale (f16)
void q3_k(Block block, float* out) {
  const Block third = block, bits = block + 32, scales = block + 96;
  const float scale = half_at(block + 108);
  for (int group = 0; group < 16; ++group, out += 16) {
    // Four low bits of the scales in the first eight bytes, two high bits in the last four.
    const int low_bits = group < 8 ? low(scales[group]) : high(scales[group - 8]);
    const float step =
        scale * static_cast<float>((low_bits | two_bits(scales[8 + group % 4], group / 4 * 2) << 4) - 32);
    const Block from = bits + group / 8 * 32 + group % 2 * 16, mask = third + group % 2 * 16;
    const int shift = group % 8 / 2 * 2, place = group / 2;
    for (int i = 0; i < 16; ++i) {
      out[i] = step * static_cast<float>(two_bits(from[i], shift) - (one_bit(mask[i], place) == 1 ? 0 : 4));
    }
  }
}

// The scale and the minimum of one of the eight groups of Q4_K and Q5_K: 16 numbers of 6 bits in 12 bytes.
struct ScaleAndMinimum {
  float scale, minimum;
};
ScaleAndMinimum scale_and_minimum(Block packed, int group) {
  const auto six = [](std::byte byte) { return static_cast<float>(std::to_integer<int>(byte & std::byte{63})); };
  if (group < 4) return {six(packed[group]), six(packed[group + 4])};
  return {static_cast<float>(low(packed[group + 4]) | two_bits(packed[group - 4], 6) << 4),
          static_cast<float>(high(packed[group + 4]) | two_bits(packed[group], 6) << 4)};
}

// scale (f16) | scale of the minima (f16) | 8 x (6 bits scale, 6 bits minimum) | 256 x 4 bits
void q4_k(Block block, float* out) {
  const float scale = half_at(block), minimum = half_at(block + 2);
  const Block bits = block + 16;
  for (int pair = 0; pair < 4; ++pair, out += 64) {
    const auto [scale_a, minimum_a] = scale_and_minimum(block + 4, 2 * pair);
    const auto [scale_b, minimum_b] = scale_and_minimum(block + 4, 2 * pair + 1);
    const float step_a = scale * scale_a, offset_a = minimum * minimum_a;
    const float step_b = scale * scale_b, offset_b = minimum * minimum_b;
    for (int i = 0; i < 32; ++i) {
      out[i] = step_a * static_cast<float>(low(bits[32 * pair + i])) - offset_a;
      out[i + 32] = step_b * static_cast<float>(high(bits[32 * pair + i])) - offset_b;
    }
  }
}

// As Q4_K, with 256 fifth bits before the four-bit numbers
void q5_k(Block block, float* out) {
  const float scale = half_at(block), minimum = half_at(block + 2);
  const Block fifth = block + 16, bits = block + 48;
  for (int pair = 0; pair < 4; ++pair, out += 64) {
    const auto [scale_a, minimum_a] = scale_and_minimum(block + 4, 2 * pair);
    const auto [scale_b, minimum_b] = scale_and_minimum(block + 4, 2 * pair + 1);
    const float step_a = scale * scale_a, offset_a = minimum * minimum_a;
    const float step_b = scale * scale_b, offset_b = minimum * minimum_b;
    for (int i = 0; i < 32; ++i) {
      const std::byte four = bits[32 * pair + i];
      out[i] = step_a * static_cast<float>(low(four) | one_bit(fifth[i], 2 * pair) << 4) - offset_a;
      out[i + 32] = step_b * static_cast<float>(high(four) | one_bit(fifth[i], 2 * pair + 1) << 4) - offset_b;
    }
  }
}

// 256 x 4 low bits | 256 x 2 high bits | 16 x i8 scales | scale (f16); 32 stands for zero
void q6_k(Block block, float* out) {
  const float scale = half_at(block + 208);
  for (int half = 0; half < 2; ++half, out += 128) {
    const Block four = block + 64 * half, two = block + 128 + 32 * half, scales = block + 192 + 8 * half;
    std::array<float, 8> step{};
    for (std::size_t g = 0; g < 8; ++g) step[g] = scale * static_cast<float>(signed_byte(scales[g]));
    for (int i = 0; i < 32; ++i) {
      const std::size_t g = i < 16 ? 0 : 1;
      const std::byte a = four[i], b = four[i + 32];
      out[i] = step[g] * static_cast<float>((low(a) | two_bits(two[i], 0) << 4) - 32);
      out[i + 32] = step[g + 2] * static_cast<float>((low(b) | two_bits(two[i], 2) << 4) - 32);
      out[i + 64] = step[g + 4] * static_cast<float>((high(a) | two_bits(two[i], 4) << 4) - 32);
      out[i + 96] = step[g + 6] * static_cast<float>((high(b) | two_bits(two[i], 6) << 4) - 32);
    }
  }
}

// One block into as many fp32 numbers as its type has elements.
using Decoder = void (*)(Block block, float* out);
Decoder decoder_of(GgufType type) {
  switch (type) {
    case GgufType::kQ8_0:
      return q8_0;
    case GgufType::kQ4_0:
      return q4_0;
    case GgufType::kQ4_1:
      return q4_1;
    case GgufType::kQ5_0:
      return q5_0;
    case GgufType::kQ5_1:
      return q5_1;
    case GgufType::kQ2_K:
      return q2_k;
    case GgufType::kQ3_K:
      return q3_k;
    case GgufType::kQ4_K:
      return q4_k;
    case GgufType::kQ5_K:
      return q5_k;
    case GgufType::kQ6_K:
      return q6_k;
    default:
      return nullptr;
  }
}

void decode(GgufType type, ByteView blocks, float* out) {
  const GgufTypeFacts facts = facts_of(type);
  if (facts.elements == 1) {
    const NumberArray numbers{*plain_dtype(type), blocks};
    load_f32(numbers, 0, numbers.size(), out);
    return;
  }
  const Decoder decoder = decoder_of(type);
  for (std::size_t at = 0; at < blocks.size(); at += facts.bytes, out += facts.elements) decoder(&blocks[at], out);
}

}  // namespace

bool can_dequantize(GgufType type) {
  const auto plain = plain_dtype(type);
  return plain ? is_number_array(*plain) : decoder_of(type) != nullptr;
}

void dequantize(const GgufTensor& tensor, std::uint64_t first_row, std::span<float> out) {
  if (!can_dequantize(tensor.type)) {
    throw bad_input(
        {},
        fmt::format("tensor '{}' is stored as {}, which is not supported", tensor.name, gguf_type_name(tensor.type)),
        "use a file in Q8_0, Q4_K_M or F16");
  }
  const GgufTypeFacts facts = facts_of(tensor.type);
  const std::uint64_t first = first_row * static_cast<std::uint64_t>(tensor.row_length());
  assert(out.empty() || out.size() % static_cast<std::uint64_t>(tensor.row_length()) == 0);
  assert(first + out.size() <= static_cast<std::uint64_t>(tensor.numel()));
  const std::uint64_t tasks = (out.size() + kElementsPerTask - 1) / kElementsPerTask;
  parallel_for(static_cast<std::int64_t>(tasks), [&](std::int64_t task) {
    const std::uint64_t begin = static_cast<std::uint64_t>(task) * kElementsPerTask;
    const std::uint64_t count = std::min(kElementsPerTask, out.size() - begin);
    const std::uint64_t block = (first + begin) / facts.elements;  // kElementsPerTask is a multiple of every block
    decode(tensor.type, tensor.data.subspan(block * facts.bytes, count / facts.elements * facts.bytes), &out[begin]);
  });
}

std::vector<float> dequantize(const GgufTensor& tensor) {
  std::vector<float> numbers(can_dequantize(tensor.type) ? static_cast<std::size_t>(tensor.numel()) : 0);
  dequantize(tensor, 0, numbers);
  return numbers;
}

}  // namespace kinglet
