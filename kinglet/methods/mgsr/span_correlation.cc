#include "kinglet/methods/mgsr/span_correlation.h"

#include "kinglet/nn/torch.h"

namespace kinglet::mgsr {

PairLosses span_losses(const Distributions& rows, const std::vector<std::int64_t>& firsts, SpanDistance distance) {
  if (firsts.empty()) return {at::empty({0}, rows.q.options()), at::zeros_like(rows.q)};
  const at::Tensor first = at::tensor(firsts, at::kLong), second = first + 1;
  const at::Tensor q_first = rows.q.index_select(0, first), q_second = rows.q.index_select(0, second);
  at::Tensor difference = q_first * q_second;
  difference.addcmul_(rows.p.index_select(0, first), rows.p.index_select(0, second), -1);
  at::Tensor losses = (difference * difference).sum(-1);
  if (distance == SpanDistance::kEuclidean) {
    losses.add_(1e-12).sqrt_();
    difference.div_(losses.unsqueeze(-1));
  } else {
    difference.mul_(2);
  }
  at::Tensor slope = at::zeros_like(rows.q);
  slope.index_add_(0, first, difference * q_second);
  slope.index_add_(0, second, difference.mul_(q_first));
  return {losses, through_softmax(slope, rows.q)};
}

}  // namespace kinglet::mgsr
