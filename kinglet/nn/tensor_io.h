// Between LibTorch tensors and the file views of io/: dtypes, shapes, copies.
#pragma once

#include <string>

#include "kinglet/io/tensor_view.h"
#include "kinglet/nn/torch.h"

namespace kinglet {

DType to_dtype(at::ScalarType type);  // raises Error for types that files cannot hold
at::ScalarType to_scalar_type(DType dtype);

// A view of a contiguous CPU tensor; lives as long as the tensor.
TensorView view_of(std::string name, const at::Tensor& tensor);

// Copies a view into a new CPU tensor of the same dtype and shape.
at::Tensor to_tensor(const TensorView& view);

}  // namespace kinglet
