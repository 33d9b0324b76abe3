#include "kinglet/methods/mgsr/band_network.h"

#include <algorithm>
#include <cmath>

#include "kinglet/base/rng.h"
#include "kinglet/nn/torch.h"

namespace kinglet::mgsr {
namespace {

constexpr std::int64_t kWide = 128, kNarrow = 64;

double logit(double x) { return std::log(x / (1.0 - x)); }

at::Tensor random_weight(std::int64_t out, std::int64_t in, Rng& rng) {
  at::Tensor weight = at::empty({out, in});
  const double deviation = 1.0 / std::sqrt(static_cast<double>(in));
  float* const values = weight.data_ptr<float>();
  for (std::int64_t i = 0; i < weight.numel(); ++i) values[i] = static_cast<float>(deviation * rng.normal());
  return weight;
}

at::Tensor entropy(const at::Tensor& log_p) { return (log_p.exp() * log_p).sum(-1, true).neg_(); }

}  // namespace

BandNetwork::BandNetwork(std::int64_t vocabulary, std::int64_t seen, std::uint64_t seed)
    : seen_(std::min(seen, vocabulary)) {
  Rng rng(seed);
  constexpr double kLower = 0.05, kUpper = 0.95;
  const at::Tensor start = at::tensor({logit(kLower), logit((kUpper - kLower) / (1.0 - kLower))}, at::kFloat);
  parameters_ = {{"input.weight", random_weight(kWide, 2 * seen_ + 4, rng)},
                 {"input.bias", at::zeros({kWide})},
                 {"hidden.weight", random_weight(kNarrow, kWide, rng)},
                 {"hidden.bias", at::zeros({kNarrow})},
                 {"output.weight", at::zeros({2, kNarrow})},
                 {"output.bias", start}};
  for (const NamedParameter& parameter : parameters_) at::Tensor(parameter.value).requires_grad_();
}

at::Tensor BandNetwork::features(const RankedRows& rows) const {
  const at::NoGradGuard no_grad;
  constexpr double kLowest = -30;  // classes that are taken out have no finite logarithm to show
  return at::cat({rows.log_p.narrow(1, 0, seen_).clamp_min(kLowest), rows.log_q.narrow(1, 0, seen_).clamp_min(kLowest),
                  entropy(rows.log_p), entropy(rows.log_q), rows.log_p.narrow(1, 0, 1).exp(),
                  std::get<0>(rows.log_q.max(-1, true)).exp()},
                 1)
      .to(at::kFloat);
}

std::pair<at::Tensor, at::Tensor> BandNetwork::limits(const at::Tensor& features,
                                                      const std::vector<at::Tensor>& parameters) {
  const at::Tensor first = at::gelu(at::linear(features, parameters[0], parameters[1]));
  const at::Tensor second = at::gelu(at::linear(first, parameters[2], parameters[3]));
  const at::Tensor shares = at::sigmoid(at::linear(second, parameters[4], parameters[5]));
  const at::Tensor lower = shares.select(1, 0);
  return {lower, lower + (1 - lower) * shares.select(1, 1)};
}

std::vector<at::Tensor> BandNetwork::values() const {
  std::vector<at::Tensor> values;
  for (const NamedParameter& parameter : parameters_) values.push_back(parameter.value);
  return values;
}

}  // namespace kinglet::mgsr
