#include "kinglet/train/gradient_buckets.h"

#include <cstring>

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "kinglet/nn/torch.h"
#include "kinglet/train/torch_compat.h"

namespace kinglet {

// Called by autograd after a parameter's gradient has been accumulated.
class GradientBuckets::Hook : public torch::autograd::FunctionPostHook {
 public:
  Hook(std::shared_ptr<GradientBuckets*> owner, std::size_t parameter)
      : owner_(std::move(owner)), parameter_(parameter) {}

  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list& /*inputs*/) override {
    if (*owner_ != nullptr) (*owner_)->gradient_is_there(parameter_);
    return outputs;
  }

 private:
  std::shared_ptr<GradientBuckets*> owner_;
  std::size_t parameter_;
};

GradientBuckets::GradientBuckets(ProcessGroup& group, std::vector<NamedParameter> parameters, std::int64_t bucket_bytes)
    : group_(group),
      parameters_(std::move(parameters)),
      bucket_of_(parameters_.size()),
      self_(std::make_shared<GradientBuckets*>(this)) {
  std::int64_t elements = 0;
  const auto close = [&] {
    if (elements > 0) buckets_.back().flat = at::zeros({elements});
    elements = 0;
  };
  for (std::size_t i = parameters_.size(); i-- > 0;) {
    const at::Tensor& value = parameters_[i].value;
    if (buckets_.empty() || elements * 4 >= bucket_bytes) {
      close();
      buckets_.emplace_back();
    }
    buckets_.back().members.push_back(i);
    bucket_of_[i] = buckets_.size() - 1;
    elements += value.numel();
    auto accumulator = torch::autograd::impl::grad_accumulator(value);
    accumulator->add_post_hook(std::make_unique<Hook>(self_, i));
    accumulators_.push_back(kept_alive(std::move(accumulator)));
  }
  close();
}

GradientBuckets::~GradientBuckets() { *self_ = nullptr; }

void GradientBuckets::start() {
  started_ = true;
  sent_ = 0;
  for (Bucket& bucket : buckets_) bucket.missing = bucket.members.size();
}

void GradientBuckets::gradient_is_there(std::size_t parameter) {
  if (!started_) return;
  Bucket& bucket = buckets_[bucket_of_[parameter]];
  if (bucket.missing > 0 && --bucket.missing == 0) send_in_order();
}

// Every process must send the same bucket at the same turn, so a bucket that is ready early waits for those before it.
void GradientBuckets::send_in_order() {
  while (sent_ < buckets_.size() && buckets_[sent_].missing == 0) send(buckets_[sent_++]);
}

void GradientBuckets::send(Bucket& bucket) {
  const at::NoGradGuard no_grad;
  std::int64_t at = 0;
  for (const std::size_t i : bucket.members) {
    const at::Tensor& value = parameters_[i].value;
    at::Tensor place = bucket.flat.narrow(0, at, value.numel()).view(value.sizes());
    if (value.grad().defined()) {
      place.copy_(value.grad().is_sparse() ? value.grad().to_dense() : value.grad());
    } else {
      place.zero_();
    }
    at += value.numel();
  }
  bucket.wait = group_.start_sum(bucket.flat);
}

void GradientBuckets::finish() {
  const at::NoGradGuard no_grad;
  for (; sent_ < buckets_.size(); ++sent_) send(buckets_[sent_]);
  for (Bucket& bucket : buckets_) {
    bucket.wait();
    std::int64_t at = 0;
    for (const std::size_t i : bucket.members) {
      const at::Tensor& value = parameters_[i].value;
      const at::Tensor sum = bucket.flat.narrow(0, at, value.numel()).view(value.sizes());
      if (!value.grad().defined() || value.grad().is_sparse()) value.mutable_grad() = at::empty_like(value);
      value.mutable_grad().copy_(sum);
      at += value.numel();
    }
  }
  started_ = false;
}

}  // namespace kinglet
