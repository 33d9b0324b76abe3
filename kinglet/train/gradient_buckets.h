// Sums of gradients over processes, sent in buckets while the backward pass goes on (Li et al. 2020, section 3.2.3).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kinglet/train/adamw.h"
#include "kinglet/train/process_group.h"

namespace kinglet {

class GradientBuckets {
 public:
  // Parameters go into buckets of about `bucket_bytes`, last ones first: the order in which their gradients come.
  GradientBuckets(ProcessGroup& group, std::vector<NamedParameter> parameters, std::int64_t bucket_bytes = 1 << 22);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  // Before the last backward pass of a step: from now on a bucket leaves when all its gradients are there.
  void start();
  // After it: sends what is left, waits, and puts the sums into the gradients. A parameter without gradient counts as
  // zeros, on every process alike.
  void finish();

 private:
  class Hook;
  struct Bucket {
    std::vector<std::size_t> members;  // numbers of parameters
    at::Tensor flat;
    std::size_t missing = 0;
    std::function<void()> wait;
  };

  void gradient_is_there(std::size_t parameter);
  void send_in_order();
  void send(Bucket& bucket);

  ProcessGroup& group_;
  std::vector<NamedParameter> parameters_;
  std::vector<Bucket> buckets_;
  std::vector<std::size_t> bucket_of_;
  std::vector<std::shared_ptr<void>> accumulators_;  // alive, because autograd holds them weakly
  std::shared_ptr<GradientBuckets*> self_;           // what the hooks see; null after the end
  bool started_ = false;
  std::size_t sent_ = 0;
};

}  // namespace kinglet
