// The activation functions of feed-forward blocks; without LibTorch, for readers of model files.
#pragma once

namespace kinglet::nn {

enum class Activation { kRelu, kGelu, kGeluTanh, kSilu };

}  // namespace kinglet::nn
