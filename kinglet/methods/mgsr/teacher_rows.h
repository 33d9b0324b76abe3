// A teacher's logits for the rows of a batch, a few rows at a time: they never stand in memory together.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "kinglet/nn/precision.h"

namespace kinglet::mgsr {

class TeacherRows {
 public:
  virtual ~TeacherRows() = default;
  // [count, vocabulary] fp32
  virtual at::Tensor logits(std::int64_t begin, std::int64_t count) const = 0;
};

// From hidden states [rows, dim] and the output matrix [vocabulary, dim] of a model.
class ModelTeacherRows : public TeacherRows {
 public:
  ModelTeacherRows(at::Tensor hidden, at::Tensor output_weight);
  at::Tensor logits(std::int64_t begin, std::int64_t count) const override;

 private:
  at::Tensor hidden_, weight_;
};

// Logits that are there already.
class KnownTeacherRows : public TeacherRows {
 public:
  explicit KnownTeacherRows(at::Tensor logits) : logits_(std::move(logits)) {}
  at::Tensor logits(std::int64_t begin, std::int64_t count) const override { return logits_.narrow(0, begin, count); }

 private:
  at::Tensor logits_;
};

// hidden weight^T in the precision of the thread (nn/precision.h), fp32, without gradient. hidden: [rows, dim]
at::Tensor output_logits(const at::Tensor& hidden, const at::Tensor& weight);

}  // namespace kinglet::mgsr
