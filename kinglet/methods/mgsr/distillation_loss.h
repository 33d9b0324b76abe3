// The loss of a distillation from hidden states: every term in one pass over the logits, a few rows at a time.
//
//   L = w_sft CE + w_div D(P, Q) + w_band DAC-KL + w_span span consistency        (each with its own weight)
//
// Logits of student and teacher, the terms and their gradients exist for one piece of rows only; the backward pass
// scales what the forward pass has collected. Memory beside the gradients: about a dozen buffers of piece x vocabulary.
#pragma once

#include <cstdint>
#include <vector>

#include "kinglet/methods/mgsr/band_network.h"
#include "kinglet/methods/mgsr/clipping.h"
#include "kinglet/methods/mgsr/divergence.h"
#include "kinglet/methods/mgsr/span_correlation.h"
#include "kinglet/methods/mgsr/teacher_rows.h"

namespace kinglet::mgsr {

enum class BandMode {
  kJoint,   // the network learns with the student
  kFrozen,  // the network stays as it is
  kFixed,   // the limits of the settings, for every row
};

struct LossSettings {
  double cross_entropy_weight = 0.0;  // of the rows' labels
  double divergence_weight = 0.0;
  double band_weight = 0.0;  // DAC-KL
  double span_weight = 0.0;
  DivergenceSettings divergence;
  double temperature = 1.0;  // of the divergence; the other terms are at 1
  BandSettings band;
  BandMode band_mode = BandMode::kJoint;
  double fixed_lower = 0.05, fixed_upper = 0.95;
  // Left to the loss alone, the limits throw classes away: fewer classes, less divergence. The network (not the
  // student) pays keep_penalty max(0, keep_floor - kept mass)^2.
  double keep_floor = 0.9, keep_penalty = 10.0;
  SpanDistance distance = SpanDistance::kEuclidean;
  std::int64_t rows_at_once = 0;  // 0: as many as make pieces of about 2 MiB of logits

  bool needs_teacher() const { return divergence_weight != 0 || band_weight != 0 || span_weight != 0; }
};

struct LossRows {
  at::Tensor hidden;                // [rows, dim] fp32, the student's, with autograd
  at::Tensor output_weight;         // [vocabulary, dim]
  at::Tensor labels;                // [rows] int64: the token that follows each row
  std::vector<std::int64_t> pairs;  // rows i such that i and i + 1 predict neighbouring tokens of one span, ascending
  const TeacherRows* teacher = nullptr;  // may be null when no term needs it
  const BandNetwork* network = nullptr;  // with DAC-KL, unless its limits are fixed
};

// Means over the rows (pairs) of a loss, or of several together.
struct LossReport {
  double rows = 0, pairs = 0, band_rows = 0;
  double cross_entropy = 0, divergence = 0, band = 0, span = 0;  // sums
  double kept_mass = 0, kept_classes = 0, lower = 0, upper = 0;  // sums, of DAC-KL
  void add(const LossReport& other);
};

// rows x L, fp32 scalar with autograd for hidden, output_weight and the network's parameters: a sum, as token_loss_sum,
// in which the span term is the mean over the pairs. `report` receives what was measured. No rows: 0.
// Raises Error (failed) for logits that are NaN or infinite, (bad input) for labels outside the vocabulary.
at::Tensor distillation_loss_sum(const LossRows& rows, const LossSettings& settings, LossReport& report);

}  // namespace kinglet::mgsr
