// The Memory Layer as tensor operators with autograd (kernels/memory_layer.h). Deterministic; no rows are gathered into
// a tensor of their own. Tensors of a GPU are taken where Kinglet was built with CUDA (KINGLET_CUDA).
#pragma once

#include <cstdint>
#include <string_view>

#include <ATen/core/Tensor.h>

#include "kinglet/kernels/memory_layer.h"
#include "kinglet/kernels/memory_tables.h"

namespace kinglet {

// What an input says to every layer that reads it.
struct MemoryCodes {
  at::Tensor codes;    // [tokens, tables] int16: the bits of unsigned numbers
  at::Tensor weights;  // [tokens, tables], of the type of the input; carries the gradient
};

// x: [..., tables * bits] of any layout; half types are computed in fp32, doubles by the plain loops.
// A NaN raises Error (failed) that names `where` and the token. On a GPU nobody waits for that answer: its weight is
// NaN, and so is what is looked up with it. Doubles are computed in fp32 there.
MemoryCodes memory_codes(const at::Tensor& x, std::int64_t tables, int bits, const MemoryWeighting& weighting,
                         std::string_view where);

// y [tokens, width] = bias + sum over tables of weight times row.
// rows: [tables * 2^bits, width], fp32 or double as the weights, or bf16 (without gradient); bias: [width] or
// undefined. `sparse_gradient`: the gradient of `rows` is a sparse tensor of the rows that were read.
at::Tensor memory_lookup(const MemoryCodes& codes, const at::Tensor& rows, const at::Tensor& bias, int bits,
                         bool sparse_gradient);

// The same from packed tables, without gradients; fp32.
at::Tensor memory_lookup(const MemoryCodes& codes, const MemoryShape& shape, const ConstTables& tables,
                         const at::Tensor& bias);

}  // namespace kinglet
