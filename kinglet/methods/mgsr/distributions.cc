#include "kinglet/methods/mgsr/distributions.h"

#include <cmath>
#include <limits>

#include "kinglet/base/error.h"
#include "kinglet/nn/torch.h"

namespace kinglet::mgsr {
namespace {

constexpr double kRemoved = -1e30;  // exp of it is 0, and differences of such logits stay finite in fp32

void refuse_overflow(const at::Tensor& logits, const char* whose, const char* remedy) {
  const at::Tensor bad = logits.isnan().logical_or_(logits.eq(std::numeric_limits<double>::infinity()));
  if (bad.any().item<bool>()) throw failed(whose, "logits are NaN or infinite", remedy);
}

}  // namespace

Distributions distributions(const at::Tensor& teacher, const at::Tensor& student, double temperature) {
  Distributions both;
  both.log_p = (temperature == 1.0 ? teacher : teacher / temperature).log_softmax(-1);
  both.log_q = (temperature == 1.0 ? student : student / temperature).log_softmax(-1);
  both.p = both.log_p.exp();
  both.q = both.log_q.exp();
  return both;
}

at::Tensor through_softmax(const at::Tensor& gradient_of_q, const at::Tensor& q) {
  at::Tensor result = gradient_of_q * q;
  const at::Tensor mean = result.sum(-1, true);
  return result.addcmul_(q, mean, -1);
}

void repair_logits(at::Tensor& teacher, at::Tensor& student) {
  // One number that is not finite makes the sum so.
  if (std::isfinite(teacher.sum().item<double>()) && std::isfinite(student.sum().item<double>())) return;
  refuse_overflow(teacher, "teacher", "load its weights as bfloat16 or float32; fp16 overflows");
  refuse_overflow(student, "student", "lower the learning rate; the last checkpoint is good");
  const at::Tensor removed = teacher.isinf().logical_or_(student.isinf());
  teacher = teacher.masked_fill(removed, kRemoved);
  student = student.masked_fill(removed, kRemoved);
}

}  // namespace kinglet::mgsr
