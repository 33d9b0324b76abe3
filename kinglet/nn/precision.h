// The number type that matrix products of the current thread compute in.
//
// kBFloat16 is mixed precision: products take bf16 operands and sum in fp32; parameters, activations between blocks,
// norms, attention scores and losses stay fp32. It needs no loss scaling.
#pragma once

namespace kinglet::nn {

enum class Precision { kFloat32, kBFloat16 };

Precision precision();

class PrecisionGuard {
 public:
  explicit PrecisionGuard(Precision wanted);
  ~PrecisionGuard();
  PrecisionGuard(const PrecisionGuard&) = delete;
  PrecisionGuard& operator=(const PrecisionGuard&) = delete;

 private:
  Precision before_;
};

}  // namespace kinglet::nn
