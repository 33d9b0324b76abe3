#include "kinglet/io/gguf_dequantize.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/parallel.h"
#include "kinglet/io/number_array.h"

namespace kinglet {
namespace {

using Byte = std::uint8_t;

float half_at(const Byte* p) {
  std::uint16_t bits;
  std::memcpy(&bits, p, sizeof(bits));
  return half_to_float(bits);
}

std::uint32_t word_at(const Byte* p) {
  std::uint32_t word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

// Blocks of 32: a scale, in the _1 types an offset, then the numbers, low halves of bytes first.
void q4_0(const Byte* p, float* out) {
  const float scale = half_at(p);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * static_cast<float>((p[2 + i] & 15) - 8);
    out[i + 16] = scale * static_cast<float>((p[2 + i] >> 4) - 8);
  }
}

void q4_1(const Byte* p, float* out) {
  const float scale = half_at(p), offset = half_at(p + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * static_cast<float>(p[4 + i] & 15) + offset;
    out[i + 16] = scale * static_cast<float>(p[4 + i] >> 4) + offset;
  }
}

// The fifth bits stand together in a word.
void q5_0(const Byte* p, float* out) {
  const float scale = half_at(p);
  const std::uint32_t high = word_at(p + 2);
  for (int i = 0; i < 16; ++i) {
    const int low = (p[6 + i] & 15) | static_cast<int>(high >> i & 1U) << 4;
    const int up = (p[6 + i] >> 4) | static_cast<int>(high >> (i + 16) & 1U) << 4;
    out[i] = scale * static_cast<float>(low - 16);
    out[i + 16] = scale * static_cast<float>(up - 16);
  }
}

void q5_1(const Byte* p, float* out) {
  const float scale = half_at(p), offset = half_at(p + 2);
  const std::uint32_t high = word_at(p + 4);
  for (int i = 0; i < 16; ++i) {
    const int low = (p[8 + i] & 15) | static_cast<int>(high >> i & 1U) << 4;
    const int up = (p[8 + i] >> 4) | static_cast<int>(high >> (i + 16) & 1U) << 4;
    out[i] = scale * static_cast<float>(low) + offset;
    out[i + 16] = scale * static_cast<float>(up) + offset;
  }
}

void q8_0(const Byte* p, float* out) {
  const float scale = half_at(p);
  for (int i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(static_cast<std::int8_t>(p[2 + i]));
}

// Blocks of 256 with eight sub-blocks of 32, whose 6-bit scales and minima are packed into 12 bytes.
struct SubBlock {
  int scale, minimum;
};
SubBlock sub_block(const Byte* packed, int j) {
  if (j < 4) return {packed[j] & 63, packed[j + 4] & 63};
  return {(packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4, (packed[j + 4] >> 4) | (packed[j] >> 6) << 4};
}

void q4_k(const Byte* p, float* out) {
  const float scale = half_at(p), minimum = half_at(p + 2);
  for (int j = 0; j < 8; ++j) {
    const SubBlock sub = sub_block(p + 4, j);
    const float d = scale * static_cast<float>(sub.scale), m = minimum * static_cast<float>(sub.minimum);
    const Byte* const numbers = p + 16 + j / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      out[j * 32 + i] = d * static_cast<float>(j % 2 == 0 ? numbers[i] & 15 : numbers[i] >> 4) - m;
    }
  }
}

void q5_k(const Byte* p, float* out) {
  const float scale = half_at(p), minimum = half_at(p + 2);
  const Byte* const high = p + 16;
  for (int j = 0; j < 8; ++j) {
    const SubBlock sub = sub_block(p + 4, j);
    const float d = scale * static_cast<float>(sub.scale), m = minimum * static_cast<float>(sub.minimum);
    const Byte* const numbers = p + 48 + j / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int low = j % 2 == 0 ? numbers[i] & 15 : numbers[i] >> 4;
      out[j * 32 + i] = d * static_cast<float>(low + ((high[i] >> j & 1) << 4)) - m;
    }
  }
}

// Sixteen sub-blocks of 16 with signed 8-bit scales; four low bits and two high bits a number.
void q6_k(const Byte* p, float* out) {
  const float scale = half_at(p + 208);
  for (int half = 0; half < 2; ++half) {
    const Byte *low = p + half * 64, *high = p + 128 + half * 32, *scales = p + 192 + half * 8;
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int i = 0; i < 32; ++i) {
        const Byte packed = low[i + (quarter % 2) * 32];
        const int number = (quarter < 2 ? packed & 15 : packed >> 4) | (high[i] >> (2 * quarter) & 3) << 4;
        const auto sub = static_cast<std::int8_t>(scales[i / 16 + 2 * quarter]);
        out[half * 128 + quarter * 32 + i] = scale * static_cast<float>(sub) * static_cast<float>(number - 32);
      }
    }
  }
}

using BlockReader = void (*)(const Byte*, float*);

BlockReader block_reader(GgufType type) {
  switch (type) {
    case GgufType::kQ4_0:
      return q4_0;
    case GgufType::kQ4_1:
      return q4_1;
    case GgufType::kQ5_0:
      return q5_0;
    case GgufType::kQ5_1:
      return q5_1;
    case GgufType::kQ8_0:
      return q8_0;
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

bool is_plain_float(GgufType type) {
  const auto dtype = plain_dtype(type);
  return dtype && is_number_array(*dtype);
}

}  // namespace

bool can_dequantize(GgufType type) { return is_plain_float(type) || block_reader(type) != nullptr; }

void dequantize(const GgufTensor& tensor, std::uint64_t begin, std::uint64_t n, float* out) {
  if (is_plain_float(tensor.type)) {
    load_f32({*plain_dtype(tensor.type), tensor.data}, begin, n, out);
    return;
  }
  const BlockReader read = block_reader(tensor.type);
  if (read == nullptr) {
    throw bad_input(tensor.name, fmt::format("tensors of type {} are not supported", gguf_type_name(tensor.type)),
                    "use a file in F32, F16, BF16, Q8_0, Q4_0, Q5_0, Q4_K, Q5_K or Q6_K");
  }
  const GgufTypeFacts facts = facts_of(tensor.type);
  assert(begin % facts.elements == 0 && n % facts.elements == 0);
  const auto* const bytes = reinterpret_cast<const Byte*>(tensor.data.data());
  for (std::uint64_t i = 0; i < n / facts.elements; ++i) {
    read(bytes + (begin / facts.elements + i) * facts.bytes, out + i * facts.elements);
  }
}

std::vector<float> dequantize(const GgufTensor& tensor) {
  const auto n = static_cast<std::uint64_t>(tensor.numel());
  std::vector<float> out(n);
  constexpr std::uint64_t kPiece = 1 << 16;  // a multiple of every block
  parallel_for(static_cast<std::int64_t>((n + kPiece - 1) / kPiece), [&](std::int64_t piece) {
    const std::uint64_t begin = static_cast<std::uint64_t>(piece) * kPiece;
    dequantize(tensor, begin, std::min(kPiece, n - begin), out.data() + begin);
  });
  return out;
}

}  // namespace kinglet
