#pragma once

// LibTorch as the house uses it: tensors, operators, autograd functions, modules. <torch/torch.h> costs every file that
// includes it another four seconds of compiling (torch::nn's layers, optimizers, data loaders, serialisation); a file
// that needs one of those includes it by name. This header is what the build precompiles.

#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/module.h>
#include <torch/types.h>
#include <torch/utils.h>
