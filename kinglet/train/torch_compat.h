// Every difference between the LibTorch versions that Kinglet builds with (1.13 and 2.x) stands here.
#pragma once

#include <torch/version.h>

#include "kinglet/nn/torch.h"

namespace kinglet {

// The key under which an optimizer keeps the state of a parameter: its address, as text in 1.x.
inline auto optimizer_state_key(const at::Tensor& parameter) {
#if TORCH_VERSION_MAJOR >= 2
  return static_cast<void*>(parameter.unsafeGetTensorImpl());
#else
  return c10::guts::to_string(parameter.unsafeGetTensorImpl());
#endif
}

}  // namespace kinglet
