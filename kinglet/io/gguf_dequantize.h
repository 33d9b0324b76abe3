// The fp32 numbers behind the blocks of a GGUF tensor.
//
// Every element is one product (and one difference) of fp32 numbers, in the order in which llama.cpp's reference code
// makes them: the results are the same to the bit.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kinglet/io/gguf.h"

namespace kinglet {

// F64, F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 and Q2_K to Q6_K.
bool can_dequantize(GgufType type);

// Rows [first_row, first_row + out.size() / row_length) of `tensor`, all dimensions but the last counted as one;
// out.size() must be a whole number of rows, and the rows must exist. Runs on all threads.
// Raises Error (bad input), naming the tensor, for a type that is not supported.
void dequantize(const GgufTensor& tensor, std::uint64_t first_row, std::span<float> out);

std::vector<float> dequantize(const GgufTensor& tensor);  // all of it

}  // namespace kinglet
