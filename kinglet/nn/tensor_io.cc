#include "kinglet/nn/tensor_io.h"

#include <cstring>

#include "kinglet/base/error.h"

namespace kinglet {

DType to_dtype(at::ScalarType type) {
  switch (type) {
    case at::kDouble:
      return DType::kF64;
    case at::kFloat:
      return DType::kF32;
    case at::kHalf:
      return DType::kF16;
    case at::kBFloat16:
      return DType::kBF16;
    case at::kLong:
      return DType::kI64;
    case at::kInt:
      return DType::kI32;
    case at::kShort:
      return DType::kI16;
    case at::kChar:
      return DType::kI8;
    case at::kByte:
      return DType::kU8;
    case at::kBool:
      return DType::kBool;
    case at::kComplexFloat:
      return DType::kC64;
    case at::kComplexDouble:
      return DType::kC128;
    default:
      throw bad_input("", fmt::format("tensors of type {} cannot be stored", c10::toString(type)));
  }
}

at::ScalarType to_scalar_type(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return at::kDouble;
    case DType::kF32:
      return at::kFloat;
    case DType::kF16:
      return at::kHalf;
    case DType::kBF16:
      return at::kBFloat16;
    case DType::kI64:
      return at::kLong;
    case DType::kI32:
      return at::kInt;
    case DType::kI16:
      return at::kShort;
    case DType::kI8:
      return at::kChar;
    case DType::kU8:
      return at::kByte;
    case DType::kBool:
      return at::kBool;
    case DType::kC64:
      return at::kComplexFloat;
    case DType::kC128:
      return at::kComplexDouble;
    default:
      throw bad_input("", fmt::format("tensors of type {} are not supported in training", dtype_name(dtype)));
  }
}

TensorView view_of(std::string name, const at::Tensor& tensor) {
  TORCH_CHECK(tensor.is_contiguous() && tensor.device().is_cpu(), name, " must be contiguous and on the CPU");
  return {std::move(name), to_dtype(tensor.scalar_type()), tensor.sizes().vec(),
          ByteView(static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes())};
}

at::Tensor to_tensor(const TensorView& view) {
  at::Tensor tensor = at::empty(view.shape, to_scalar_type(view.dtype));
  if (tensor.nbytes() != view.data.size()) {
    throw bad_input(view.name, fmt::format("{} bytes for a tensor of {}", view.data.size(), tensor.nbytes()));
  }
  if (!view.data.empty()) std::memcpy(tensor.data_ptr(), view.data.data(), view.data.size());
  return tensor;
}

}  // namespace kinglet
