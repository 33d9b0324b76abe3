// Every difference between the LibTorch versions that Kinglet builds with (1.13 and 2.x) stands here.
#pragma once

#include <memory>
#include <utility>

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

// Something that keeps a node of autograd alive; nodes are held by std::shared_ptr, since 2.13 by c10::intrusive_ptr.
template <typename Pointer>
std::shared_ptr<void> kept_alive(Pointer node) {
  return std::make_shared<Pointer>(std::move(node));
}

}  // namespace kinglet
