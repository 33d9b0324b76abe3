// Rows of logits of a teacher P and a student Q as the distributions that every loss of a distillation is made of.
//
// A "row" is one position of a response. All functions take fp32 or fp64 and compute in it; fp64 is there for checks.
#pragma once

#include <ATen/core/Tensor.h>

namespace kinglet::mgsr {

struct Distributions {
  at::Tensor log_p, p;  // teacher, [rows, vocabulary]
  at::Tensor log_q, q;  // student
};

// softmax(logits / temperature) of both. teacher, student: [rows, vocabulary] of one type, finite (repair_logits).
Distributions distributions(const at::Tensor& teacher, const at::Tensor& student, double temperature = 1.0);

// The losses of rows, with their gradient.
struct RowLosses {
  at::Tensor losses;    // [rows]
  at::Tensor gradient;  // [rows, vocabulary]: of each row's loss, for the student's logits
};

// Chain rule through softmax: turns gradients for q into those for the logits that q came from. [rows, vocabulary]
at::Tensor through_softmax(const at::Tensor& gradient_of_q, const at::Tensor& q);

// Makes logits finite where they are not (else they stay the same tensors). A class whose logit is -infinity for
// teacher or student (padding of a vocabulary, banned tokens) is taken out of both distributions: its logits become so
// low that it weighs nothing. NaN and +infinity raise Error (failed) that says whose they are.
void repair_logits(at::Tensor& teacher, at::Tensor& student);

}  // namespace kinglet::mgsr
