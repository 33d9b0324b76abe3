// GGUF tensors as fp32.
#pragma once

#include <cstdint>
#include <vector>

#include "kinglet/io/gguf.h"

namespace kinglet {

// Whether dequantize() knows the type: F32, F16, BF16, F64, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K.
bool can_dequantize(GgufType type);

// Elements [begin, begin + n) into out [n]; begin and n are multiples of the type's block (gguf_type.h). Raises Error
// (bad input) naming the tensor for a type that is not known.
void dequantize(const GgufTensor& tensor, std::uint64_t begin, std::uint64_t n, float* out);
// All of it, in parallel.
std::vector<float> dequantize(const GgufTensor& tensor);

}  // namespace kinglet
