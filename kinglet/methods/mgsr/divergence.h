// How far a student's distribution is from its teacher's: the divergences that distillation methods differ by.
//
//   kForward      KL(P || Q)                                    KD; ImitKD and SCRG on other sequences
//   kReverse      KL(Q || P)                                    MiniLLM's objective, token by token
//   kSkewForward  KL(P || a P + (1-a) Q)                        DistiLLM
//   kSkewReverse  KL(Q || (1-a) P + a Q)                        DistiLLM
//   kJensenShannon  b KL(P || M) + (1-b) KL(Q || M), M = b P + (1-b) Q    GKD
//   kTotalVariation  1/2 sum |P - Q|
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kinglet/methods/mgsr/distributions.h"

namespace kinglet::mgsr {

enum class Divergence { kForward, kReverse, kSkewForward, kSkewReverse, kJensenShannon, kTotalVariation };

struct DivergenceSettings {
  Divergence kind = Divergence::kForward;
  double skew = 0.1;  // a, in [0, 1)
  double beta = 0.5;  // b, in (0, 1)
};

// "forward", "reverse", "skew-forward", "skew-reverse", "jsd", "tvd"
const std::vector<std::string>& divergence_names();
Divergence parse_divergence(std::string_view name);  // raises Error (bad input)

RowLosses divergence_rows(const Distributions& rows, const DivergenceSettings& settings);

// The losses [rows] of logits [rows, vocabulary] with autograd for the student's; the teacher is a constant. Logits
// that are not finite are treated as repair_logits says. At a temperature t the losses are multiplied by t^2 (Hinton et
// al. 2015), so that the size of the gradient does not depend on it.
at::Tensor divergence_loss(const at::Tensor& teacher, const at::Tensor& student, const DivergenceSettings& settings,
                           double temperature = 1.0);

}  // namespace kinglet::mgsr
