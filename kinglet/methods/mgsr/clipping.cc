#include "kinglet/methods/mgsr/clipping.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/parallel.h"
#include "kinglet/kernels/soft_band.h"
#include "kinglet/methods/mgsr/ranking.h"
#include "kinglet/nn/torch.h"

namespace kinglet::mgsr {
namespace {

// [V] or [rows, V], by rank
at::Tensor coordinates(const at::Tensor& log_p, BandCoordinate kind) {
  const std::int64_t classes = log_p.size(1);
  const auto count = static_cast<double>(classes);
  const at::Tensor rank = at::arange(classes, at::TensorOptions().dtype(at::kDouble));
  switch (kind) {
    case BandCoordinate::kLogRank:
      return (1.0 - rank.log1p() / std::log1p(count)).to(log_p.scalar_type());
    case BandCoordinate::kRank:
      return ((count - 0.5 - rank) / count).to(log_p.scalar_type());
    case BandCoordinate::kValue:
      return (log_p - log_p.narrow(1, 0, 1)).exp_();
    case BandCoordinate::kMass:
      return log_p.exp().flip(1).cumsum(1).flip(1);
  }
  return {};
}

// The soft mask by rank: its logarithm, and the derivative of that for both limits.
struct Mask {
  at::Tensor log, by_lower, by_upper;  // [rows, V]
};

Mask soft_mask(const at::Tensor& log_p, const at::Tensor& lower, const at::Tensor& upper,
               const BandSettings& settings) {
  const at::Tensor place = coordinates(log_p, settings.coordinate);
  const double scale = 1.0 / settings.softness;
  const at::Tensor above = (place - lower.unsqueeze(-1)).mul_(scale), below = (upper.unsqueeze(-1) - place).mul_(scale);
  Mask mask{at::log_sigmoid(above).add_(at::log_sigmoid(below)), at::sigmoid(-above).mul_(-scale),
            at::sigmoid(-below).mul_(scale)};
  at::Tensor log_target = mask.log.narrow(1, 0, 1);
  if (settings.target_twice) {
    // Once as it is and once inside the mask: 1 + mask, because both copies have the same ratio p / q.
    const at::Tensor share = log_target.sigmoid();
    log_target.copy_(at::softplus(log_target));
    mask.by_lower.narrow(1, 0, 1).mul_(share);
    mask.by_upper.narrow(1, 0, 1).mul_(share);
  } else {
    log_target.zero_();
    mask.by_lower.narrow(1, 0, 1).zero_();
    mask.by_upper.narrow(1, 0, 1).zero_();
  }
  return mask;
}

struct Slopes {
  at::Tensor losses, student, mask;  // gradients for the student's logits and for the logarithm of the mask, by rank
};

Slopes normalised(const RankedRows& rows, const at::Tensor& log_mask) {
  const at::Tensor log_p = (rows.log_p + log_mask).log_softmax(-1), log_q = (rows.log_q + log_mask).log_softmax(-1);
  const at::Tensor p = log_p.exp();
  const at::Tensor student = log_q.exp().sub_(p);
  at::Tensor mask = (log_p - log_q).mul_(p);
  const at::Tensor losses = mask.sum(-1);
  mask.addcmul_(p, losses.unsqueeze(-1), -1).add_(student);
  return {losses, student, mask};
}

Slopes unnormalised(const RankedRows& rows, const at::Tensor& log_mask) {
  const at::Tensor weighed = (rows.log_p + log_mask).exp_();
  const at::Tensor mask = (rows.log_p - rows.log_q).mul_(weighed);
  const at::Tensor student = rows.log_q.exp().mul_(weighed.sum(-1, true)).sub_(weighed);
  return {mask.sum(-1), student, mask};
}

// Any settings and type, in many passes.
BandLosses general_band_losses(const RankedRows& rows, const at::Tensor& lower, const at::Tensor& upper,
                               const BandSettings& settings) {
  const Mask mask = soft_mask(rows.log_p, lower, upper, settings);
  const Slopes slopes = settings.renormalise ? normalised(rows, mask.log) : unnormalised(rows, mask.log);
  BandLosses result;
  result.student.losses = slopes.losses;
  result.student.gradient = at::empty_like(rows.log_q).scatter_(1, rows.order, slopes.student);
  result.lower = (slopes.mask * mask.by_lower).sum(-1);
  result.upper = (slopes.mask * mask.by_upper).sum(-1);
  const at::Tensor kept = (rows.log_p + mask.log).exp_();
  result.kept_mass = kept.sum(-1);
  result.kept_classes = mask.log.exp().sum(-1);
  result.mass_lower = (kept * mask.by_lower).sum(-1);
  result.mass_upper = (kept * mask.by_upper).sum(-1);
  return result;
}

// Of the rows that single precision in one pass is too coarse for.
void replace_row(BandLosses& result, std::int64_t row, const RankedRows& rows, const at::Tensor& lower,
                 const at::Tensor& upper, const BandSettings& settings) {
  const RankedRows alone{rows.order.narrow(0, row, 1), rows.log_p.narrow(0, row, 1), rows.log_q.narrow(0, row, 1)};
  const BandLosses one = general_band_losses(alone, lower.narrow(0, row, 1), upper.narrow(0, row, 1), settings);
  for (const auto& [to, from] : {std::pair{&result.student.losses, &one.student.losses},
                                 {&result.student.gradient, &one.student.gradient},
                                 {&result.lower, &one.lower},
                                 {&result.upper, &one.upper},
                                 {&result.kept_mass, &one.kept_mass},
                                 {&result.kept_classes, &one.kept_classes},
                                 {&result.mass_lower, &one.mass_lower},
                                 {&result.mass_upper, &one.mass_upper}}) {
    to->narrow(0, row, 1).copy_(*from);
  }
}

// The usual settings in fp32: one pass over each row.
BandLosses fused_band_losses(const RankedRows& rows, const at::Tensor& lower_limits, const at::Tensor& upper_limits,
                             const BandSettings& settings) {
  const std::int64_t count = rows.log_p.size(0), classes = rows.log_p.size(1);
  const at::Tensor log_p = rows.log_p.contiguous(), log_q = rows.log_q.contiguous(), order = rows.order.contiguous();
  const at::Tensor lower = lower_limits.contiguous(), upper = upper_limits.contiguous();
  const at::Tensor places = coordinates(log_p, settings.coordinate).contiguous();
  const std::int64_t places_stride = places.dim() == 1 ? 0 : classes;
  const auto column = [&] { return at::empty({count}, at::kFloat); };
  BandLosses result{{column(), at::empty_like(log_q)}, column(), column(), column(), column(), column(), column()};
  std::vector<std::int64_t> hard(static_cast<std::size_t>(count), 0);
  parallel_ranges(count, 4, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> by_rank(static_cast<std::size_t>(classes));
    for (std::int64_t row = begin; row < end; ++row) {
      const SoftBand band{lower.data_ptr<float>()[row], upper.data_ptr<float>()[row],
                          static_cast<float>(settings.softness)};
      SoftBandResult one;
      hard[static_cast<std::size_t>(row)] =
          !soft_band_row(band, log_p.data_ptr<float>() + row * classes, log_q.data_ptr<float>() + row * classes,
                         places.data_ptr<float>() + row * places_stride, classes, by_rank.data(), one);
      const std::int64_t* const class_of = order.data_ptr<std::int64_t>() + row * classes;
      float* const gradient = result.student.gradient.data_ptr<float>() + row * classes;
      for (std::int64_t rank = 0; rank < classes; ++rank) {
        gradient[class_of[rank]] = by_rank[static_cast<std::size_t>(rank)];
      }
      result.student.losses.data_ptr<float>()[row] = one.loss;
      result.lower.data_ptr<float>()[row] = one.by_lower;
      result.upper.data_ptr<float>()[row] = one.by_upper;
      result.kept_mass.data_ptr<float>()[row] = one.kept_mass;
      result.kept_classes.data_ptr<float>()[row] = one.kept_classes;
      result.mass_lower.data_ptr<float>()[row] = one.mass_by_lower;
      result.mass_upper.data_ptr<float>()[row] = one.mass_by_upper;
    }
  });
  for (std::int64_t row = 0; row < count; ++row) {
    if (hard[static_cast<std::size_t>(row)] != 0) replace_row(result, row, rows, lower, upper, settings);
  }
  return result;
}

}  // namespace

const std::vector<std::string>& coordinate_names() {
  static const std::vector<std::string> names = {"log-rank", "rank", "value", "mass"};
  return names;
}

BandCoordinate parse_coordinate(std::string_view name) {
  const auto& names = coordinate_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw bad_input("", fmt::format("no coordinate is called '{}'", name),
                    fmt::format("choose one of: {}", fmt::join(names, ", ")));
  }
  return static_cast<BandCoordinate>(found - names.begin());
}

RankedRows rank_rows(const Distributions& rows) {
  RankedRows ranked{descending_order(rows.log_p), {}, {}};
  ranked.log_p = rows.log_p.gather(1, ranked.order);
  ranked.log_q = rows.log_q.gather(1, ranked.order);
  return ranked;
}

BandLosses band_losses(const RankedRows& rows, const at::Tensor& lower, const at::Tensor& upper,
                       const BandSettings& settings) {
  const bool usual = settings.renormalise && !settings.target_twice && rows.log_p.scalar_type() == at::kFloat &&
                     lower.scalar_type() == at::kFloat && upper.scalar_type() == at::kFloat;
  return usual ? fused_band_losses(rows, lower, upper, settings) : general_band_losses(rows, lower, upper, settings);
}

}  // namespace kinglet::mgsr
