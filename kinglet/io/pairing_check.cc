#include "kinglet/io/pairing_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "kinglet/base/parallel.h"

namespace kinglet {
namespace {

constexpr std::size_t kMostSamples = std::size_t{1} << 18;   // of one parameter
constexpr std::size_t kMostTogether = std::size_t{1} << 24;  // of all parameters of one shape
constexpr std::size_t kRun = 4096;                           // neighbouring elements looked at together
constexpr double kNoiseDeviations = 4;
constexpr double kDecisiveDeviations = 6;
constexpr double kDecisiveFactor = 3;
constexpr double kEpsilon = 1e-8;  // Adam's usual one

template <typename T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

double element(const NumberArray& array, std::size_t i) {
  const std::byte* at = array.data.data() + i * item_size(array.dtype);
  switch (array.dtype) {
    case DType::kF64:
      return load<double>(at);
    case DType::kF16:
      return static_cast<double>(half_to_float(load<std::uint16_t>(at)));
    case DType::kBF16:
      return static_cast<double>(bfloat16_to_float(load<std::uint16_t>(at)));
    default:
      return static_cast<double>(load<float>(at));
  }
}

// First elements of the runs to look at: about `samples` elements, evenly spread over `count`.
std::vector<std::size_t> run_starts(std::size_t count, std::size_t samples) {
  const std::size_t runs = std::max<std::size_t>(1, std::min(samples, count) / kRun);
  std::vector<std::size_t> starts(runs);
  for (std::size_t r = 0; r < runs; ++r) starts[r] = runs == 1 ? 0 : r * ((count - kRun) / (runs - 1));
  return starts;
}

// Scales to length 1; false for a zero or non-finite vector.
bool normalize(std::vector<float>& vector) {
  double squares = 0;
  for (const float value : vector) squares += static_cast<double>(value) * static_cast<double>(value);
  if (!(squares > 0) || !std::isfinite(squares)) return false;
  const double scale = 1 / std::sqrt(squares);
  for (float& value : vector) value = static_cast<float>(static_cast<double>(value) * scale);
  return true;
}

struct Sample {
  std::vector<float> movement;   // of the weights, length 1
  std::vector<float> direction;  // of the moments, length 1
  bool moved = false;
};

Sample draw(const MovedParameter& parameter, std::size_t count, std::size_t samples) {
  Sample sample;
  for (const std::size_t start : run_starts(count, samples)) {
    for (std::size_t i = start; i < std::min(start + kRun, count); ++i) {
      const double moved = element(parameter.weight_now, i) - element(parameter.weight_before, i);
      double direction = -element(parameter.first_moment, i);
      if (parameter.second_moment) {
        direction /= std::sqrt(std::max(0.0, element(*parameter.second_moment, i))) + kEpsilon;
      }
      sample.movement.push_back(static_cast<float>(moved));
      sample.direction.push_back(static_cast<float>(direction));
    }
  }
  sample.moved = normalize(sample.movement) && normalize(sample.direction);
  return sample;
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  constexpr std::size_t kLanes = 8;
  double sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= a.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += static_cast<double>(a[i + lane]) * static_cast<double>(b[i + lane]);
    }
  }
  double sum = 0;
  for (; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  for (const double lane : sums) sum += lane;
  return sum;
}

// cosines[i * k + j] of movement i with direction j.
std::vector<double> all_cosines(const std::vector<Sample>& samples) {
  const std::size_t k = samples.size();
  std::vector<double> cosines(k * k);
  parallel_for(static_cast<std::int64_t>(k), [&](std::int64_t row) {
    const auto i = static_cast<std::size_t>(row);
    for (std::size_t j = 0; j < k; ++j) cosines[i * k + j] = dot(samples[i].movement, samples[j].direction);
  });
  return cosines;
}

bool is_exchanged(const std::vector<double>& cosines, std::size_t k, std::size_t i, std::size_t j, double decisive) {
  if (i == j) return false;
  const double found = cosines[i * k + j];
  for (std::size_t other = 0; other < k; ++other) {
    if (cosines[other * k + j] > found) return false;
  }
  return found >= decisive && found >= kDecisiveFactor * cosines[i * k + i] &&
         found >= kDecisiveFactor * cosines[j * k + j];
}

void judge_equal_shapes(const std::vector<const MovedParameter*>& parameters, PairingEvidence& evidence) {
  const MovedParameter& first = *parameters.front();
  const std::size_t count = first.weight_now.data.size() / item_size(first.weight_now.dtype);
  const std::size_t samples =
      std::max<std::size_t>(kSmallestJudged, std::min(kMostSamples, kMostTogether / parameters.size()));
  std::vector<Sample> all(parameters.size());
  parallel_for(static_cast<std::int64_t>(parameters.size()), [&](std::int64_t index) {
    const auto i = static_cast<std::size_t>(index);
    all[i] = draw(*parameters[i], count, samples);
  });
  std::vector<Sample> moved;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].moved) continue;
    moved.push_back(std::move(all[i]));
    names.push_back(parameters[i]->name);
  }
  const std::size_t k = moved.size();
  if (k == 0) return;
  const std::vector<double> cosines = all_cosines(moved);
  const double deviation = 1 / std::sqrt(static_cast<double>(moved.front().movement.size()));
  for (std::size_t i = 0; i < k; ++i) {
    const auto row = cosines.begin() + static_cast<std::ptrdiff_t>(i * k);
    const auto best = static_cast<std::size_t>(std::max_element(row, row + static_cast<std::ptrdiff_t>(k)) - row);
    PairingEvidence::Judged judged{
        names[i],    cosines[i * k + i],    kNoiseDeviations * deviation,
        names[best], cosines[i * k + best], is_exchanged(cosines, k, i, best, kDecisiveDeviations * deviation)};
    evidence.above_noise += judged.cosine >= judged.noise;
    evidence.exchanged += judged.exchanged;
    evidence.judged.push_back(std::move(judged));
  }
}

}  // namespace

PairingEvidence judge_pairing(const std::vector<MovedParameter>& parameters) {
  std::map<std::vector<std::int64_t>, std::vector<const MovedParameter*>> by_shape;
  for (const MovedParameter& parameter : parameters) {
    const std::size_t count = parameter.weight_now.data.size() / item_size(parameter.weight_now.dtype);
    if (count >= static_cast<std::size_t>(kSmallestJudged)) by_shape[parameter.shape].push_back(&parameter);
  }
  PairingEvidence evidence;
  for (const auto& [shape, members] : by_shape) judge_equal_shapes(members, evidence);
  return evidence;
}

}  // namespace kinglet
