// The loss of a language model from its hidden states, without ever holding all logits.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace kinglet::nn {

// The SUM over the counted rows of -log softmax(hidden weight^T)[label], fp32 scalar with autograd.
// hidden: [rows, dim] fp32, weight: [vocabulary, dim] fp32, labels: [rows] int64, -100 = not counted; other labels
// outside the vocabulary raise Error (bad input). A few hundred rows of logits live at a time, and both gradients are
// made while they do: the backward pass only scales them.
at::Tensor token_loss_sum(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& labels);

std::int64_t counted_labels(const at::Tensor& labels);

}  // namespace kinglet::nn
