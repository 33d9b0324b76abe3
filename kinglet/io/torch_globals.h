// The white list of names that may occur in files of torch.save, and what they mean. [specification 9.3]
#pragma once

#include <optional>
#include <string_view>

#include "kinglet/io/dtype.h"

namespace kinglet {

// "torch FloatStorage" -> F32; also the dtypes "torch float32". Empty for other names.
std::optional<DType> storage_dtype(std::string_view global);
std::optional<DType> torch_dtype(std::string_view global);
std::string_view storage_class(DType dtype);  // "FloatStorage"; empty when PyTorch has no typed storage for it

// Whether a name may stand in a checkpoint that is interpreted; everything else is refused in strict mode.
bool is_known_global(std::string_view global);

}  // namespace kinglet
