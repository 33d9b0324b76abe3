#include "kinglet/nn/rotary.h"

#include <cmath>
#include <numbers>

#include "kinglet/base/parallel.h"
#include "kinglet/nn/torch.h"

namespace kinglet::nn {
namespace {

// Llama 3.1: long wavelengths are divided by the factor, short ones kept, those between are mixed.
double stretched(double frequency, const RotaryScaling& scaling) {
  if (scaling.kind == RotaryScaling::Kind::kNone) return frequency;
  if (scaling.kind == RotaryScaling::Kind::kLinear) return frequency / scaling.factor;
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  if (wavelength > scaling.original_context / scaling.low_frequency_factor) return frequency / scaling.factor;
  if (wavelength < scaling.original_context / scaling.high_frequency_factor) return frequency;
  const double kept = (scaling.original_context / wavelength - scaling.low_frequency_factor) /
                      (scaling.high_frequency_factor - scaling.low_frequency_factor);
  return (1.0 - kept) * frequency / scaling.factor + kept * frequency;
}

// One head: the pairs (x_i, x_{i + half}) turn by their angles; direction -1 turns back.
void turn(const float* x, const float* cos, const float* sin, float direction, std::int64_t half, std::int64_t dim,
          float* out) {
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half], s = direction * sin[i];
    out[i] = a * cos[i] - b * s;
    out[i + half] = b * cos[i] + a * s;
  }
  for (std::int64_t i = 2 * half; i < dim; ++i) out[i] = x[i];
}

at::Tensor turned(const at::Tensor& x_in, const at::Tensor& cos, const at::Tensor& sin, float direction) {
  const at::Tensor x = x_in.contiguous();
  at::Tensor out = at::empty_like(x);
  const std::int64_t batch = x.size(0), tokens = x.size(1), heads = x.size(2), dim = x.size(3), half = cos.size(-1);
  const std::int64_t angle_batch = cos.size(0) == 1 ? 0 : tokens * half;
  const float* const source = x.data_ptr<float>();
  const float* const cosines = cos.data_ptr<float>();
  const float* const sines = sin.data_ptr<float>();
  float* const target = out.data_ptr<float>();
  constexpr std::int64_t kTokens = 64;  // a task
  parallel_ranges(batch * tokens, kTokens, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t angle = i / tokens * angle_batch + i % tokens * half;
      for (std::int64_t head = 0; head < heads; ++head) {
        const std::int64_t at = (i * heads + head) * dim;
        turn(source + at, cosines + angle, sines + angle, direction, half, dim, target + at);
      }
    }
  });
  return out;
}

class Rotary : public torch::autograd::Function<Rotary> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return turned(x, cos, sin, 1.0F);
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               const torch::autograd::tensor_list& gradients) {
    const auto saved = context->get_saved_variables();
    return {turned(gradients[0], saved[0], saved[1], -1.0F), {}, {}};
  }
};

}  // namespace

std::vector<double> rotary_frequencies(const RotarySettings& settings) {
  TORCH_CHECK(
      settings.divisors.empty() || settings.divisors.size() == static_cast<std::size_t>(settings.rotary_dim / 2),
      "rotary: one divisor a frequency");
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < settings.rotary_dim / 2; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(settings.rotary_dim);
    const double divisor = settings.divisors.empty() ? 1.0 : settings.divisors[static_cast<std::size_t>(i)];
    frequencies.push_back(stretched(std::pow(settings.theta, -exponent), settings.scaling) / divisor);
  }
  return frequencies;
}

RotaryAngles rotary_angles(const RotarySettings& settings, const at::Tensor& positions) {
  const at::Tensor frequencies = at::tensor(rotary_frequencies(settings), at::kDouble);
  const at::Tensor angles = positions.to(at::kDouble).unsqueeze(-1) * frequencies;
  return {angles.cos().to(at::kFloat).contiguous(), angles.sin().to(at::kFloat).contiguous()};
}

at::Tensor apply_rotary(const at::Tensor& x, const RotaryAngles& angles) {
  if (!angles.cos.defined() || angles.cos.size(-1) == 0) return x;
  TORCH_CHECK(x.dim() == 4 && x.size(3) >= 2 * angles.cos.size(-1) && x.size(1) == angles.cos.size(1) &&
                  (angles.cos.size(0) == 1 || angles.cos.size(0) == x.size(0)),
              "rotary: x ", x.sizes(), " does not fit angles ", angles.cos.sizes());
  if (!at::GradMode::is_enabled()) return turned(x, angles.cos, angles.sin, 1.0F);
  return Rotary::apply(x, angles.cos, angles.sin);
}

}  // namespace kinglet::nn
