#include "kinglet/methods/excp/delta_plan.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "kinglet/kernels/quantize.h"
#include "kinglet/methods/excp/codebook.h"
#include "kinglet/methods/excp/survivors.h"

namespace kinglet::excp {
namespace {

// ------------------------------------------------------------------------- pass 1: medians, sums, bad values

struct Totals {
  MagnitudeMedian residuals;
  double first_magnitudes = 0, second = 0;
};

struct BadValues {
  std::uint64_t weight = 0, first = 0, second = 0, negative = 0;
};

struct BlockSums {
  double first = 0, second = 0;
};

void scan_window(const Window& window, MagnitudeMedian& median, BlockSums& sums, BadValues& bad) {
  median.add_high(window.delta, window.n);
  bad.weight += check_values(window.delta, window.n).nonfinite;
  if (window.first != nullptr) {
    bad.first += check_values(window.first, window.n).nonfinite;
    sums.first += sum_of_magnitudes(window.first, window.n);
  }
  for (const float* moment : {window.second, window.max_second}) {
    if (moment == nullptr) continue;
    const ValueCheck check = check_values(moment, window.n);
    bad.second += check.nonfinite;
    bad.negative += check.negative;
  }
  if (window.second != nullptr) sums.second += sum(window.second, window.n);
}

void refuse_bad_values(const DeltaInput& input, const std::vector<BadValues>& workers) {
  BadValues bad;
  for (const BadValues& worker : workers) {
    bad.weight += worker.weight;
    bad.first += worker.first;
    bad.second += worker.second;
    bad.negative += worker.negative;
  }
  const auto refuse = [&](std::uint64_t count, std::string_view what) {
    if (count == 0) return;
    throw NonFiniteValues(ErrorKind::kBadInput, input.name,
                          fmt::format("{} of {} {} are NaN or infinite", count, input.n, what),
                          "store this checkpoint with --allow-nonfinite or --lossless");
  };
  refuse(bad.weight, "weights");
  refuse(bad.first, "first moments");
  refuse(bad.second, "second moments");
  if (bad.negative > 0) {
    throw bad_input(input.name, fmt::format("{} of {} second moments are negative", bad.negative, input.n),
                    "the optimizer state is corrupt");
  }
}

Totals scan(const DeltaInput& input) {
  const std::int64_t workers = worker_count(input.n);
  std::vector<MagnitudeMedian> medians(static_cast<std::size_t>(workers));
  std::vector<BadValues> bad(static_cast<std::size_t>(workers));
  std::vector<WindowReader> readers(static_cast<std::size_t>(workers), WindowReader(input));
  std::vector<BlockSums> sums(block_count(input.n));
  for_each_block(input.n, workers, [&](std::size_t worker, std::uint64_t block) {
    for_each_window(input.n, block, [&](std::uint64_t begin, std::uint64_t n) {
      scan_window(readers[worker].all(begin, n), medians[worker], sums[block], bad[worker]);
    });
  });
  refuse_bad_values(input, bad);
  for (std::size_t worker = 1; worker < medians.size(); ++worker) medians[0].merge_high(medians[worker]);
  Totals totals{std::move(medians[0])};
  for (const BlockSums& block : sums) {  // in block order, whatever the number of workers
    totals.first_magnitudes += block.first;
    totals.second += block.second;
  }
  return totals;
}

// Second half of the exact selection: the value of the selected rank.
float finish_selection(const DeltaInput& input, const MagnitudeMedian& selected) {
  const std::int64_t workers = worker_count(input.n);
  std::vector<MagnitudeMedian> parts(static_cast<std::size_t>(workers), selected);
  std::vector<WindowReader> readers(static_cast<std::size_t>(workers), WindowReader(input));
  for_each_block(input.n, workers, [&](std::size_t worker, std::uint64_t block) {
    for_each_window(input.n, block, [&](std::uint64_t begin, std::uint64_t n) {
      parts[worker].add_low(readers[worker].residual(begin, n).delta, n);
    });
  });
  for (std::size_t worker = 1; worker < parts.size(); ++worker) parts[0].merge_low(parts[worker]);
  return parts[0].value();
}

// ------------------------------------------------------------------------- thresholds

float median_magnitude(const DeltaInput& input, const Options& options, const MagnitudeMedian& residuals) {
  MagnitudeMedian selected = residuals;
  return selected.select(options.median_of_nonzeros) ? finish_selection(input, selected) : 0;
}

// The smallest threshold that prunes the wanted share.
float sparsity_threshold(const DeltaInput& input, double sparsity, const MagnitudeMedian& residuals) {
  const auto pruned = static_cast<std::uint64_t>(std::ceil(sparsity * static_cast<double>(input.n)));
  if (pruned == 0) return 0;
  MagnitudeMedian selected = residuals;
  selected.select_rank(std::min(pruned, input.n) - 1);
  return finish_selection(input, selected);
}

void set_thresholds(const DeltaInput& input, const Options& options, const Totals& totals, DeltaPlan& plan) {
  const auto n = static_cast<double>(input.n);
  const double mean_second = totals.second / n;
  plan.zero_residuals = totals.residuals.zeros();
  plan.moment_threshold = static_cast<float>(options.beta * totals.first_magnitudes / n);
  plan.joint_mask = options.joint_mask && plan.zero_residuals < input.n;
  if (plan.zero_residuals == input.n) return;  // frozen: nothing to prune

  const float median = median_magnitude(input, options, totals.residuals);
  if (options.target_sparsity) {
    plan.weight_threshold = sparsity_threshold(input, *options.target_sparsity, totals.residuals);
    plan.lambda = median > 0 ? static_cast<double>(plan.weight_threshold) / static_cast<double>(median) : 0;
    return;
  }
  if (options.lambda) {
    plan.lambda = *options.lambda;
  } else if (input.second_moment) {
    plan.lambda = effective_lambda(options.alpha, mean_second, options.lambda_cap);
  }
  plan.weight_threshold = static_cast<float>(plan.lambda * static_cast<double>(median));
  if (options.scope == Scope::kElement && input.second_moment) {
    plan.element_scale = options.lambda ? *options.lambda * std::sqrt(mean_second) : options.alpha;
    plan.element_cap = std::max(options.lambda_cap, options.lambda.value_or(0));
    plan.weight_threshold = median;
  }
}

// ------------------------------------------------------------------------- pass 2: survivors and codebooks

constexpr std::uint8_t flag_of(std::size_t stream) { return stream == kWeight ? kKeepWeight : kKeepMoment; }

const float* array_of(const Window& window, std::size_t stream) {
  const float* arrays[] = {window.delta, window.first, window.second, window.max_second};
  return arrays[stream];
}

struct PlanWorker {
  WindowReader reader;
  std::vector<float> scratch = std::vector<float>(kWindowElements);
  std::vector<std::uint8_t> flags = std::vector<std::uint8_t>(kWindowElements);
  Kept kept;

  explicit PlanWorker(const DeltaInput& input) : reader(input) {}
};

// body(worker, window, flags) over the whole tensor; returns how many were kept.
template <typename Body>
Kept for_each_masked_window(const DeltaInput& input, const DeltaPlan& plan, const Body& body) {
  const std::int64_t count = worker_count(input.n);
  std::vector<PlanWorker> workers(static_cast<std::size_t>(count), PlanWorker(input));
  for_each_block(input.n, count, [&](std::size_t index, std::uint64_t block) {
    PlanWorker& worker = workers[index];
    for_each_window(input.n, block, [&](std::uint64_t begin, std::uint64_t n) {
      const Window window = worker.reader.all(begin, n);
      const Kept kept = keep_flags(window, plan, worker.scratch.data(), worker.flags.data());
      worker.kept.weights += kept.weights;
      worker.kept.moments += kept.moments;
      body(index, window, worker.flags.data());
    });
  });
  Kept total;
  for (const PlanWorker& worker : workers) {
    total.weights += worker.kept.weights;
    total.moments += worker.kept.moments;
  }
  return total;
}

using Points = std::array<std::vector<WeightedPoint>, kStreams>;

Points collect_survivors(const DeltaInput& input, DeltaPlan& plan) {
  std::vector<std::array<Survivors, kStreams>> parts(static_cast<std::size_t>(worker_count(input.n)));
  const Kept kept =
      for_each_masked_window(input, plan, [&](std::size_t worker, const Window& window, const std::uint8_t* flags) {
        for (std::size_t stream = 0; stream < kStreams; ++stream) {
          if (const float* x = array_of(window, stream)) parts[worker][stream].add(x, flags, flag_of(stream), window.n);
        }
      });
  plan.weights_kept = kept.weights;
  plan.moments_kept = kept.moments;
  Points points;
  for (std::size_t stream = 0; stream < kStreams; ++stream) {
    for (std::size_t worker = 1; worker < parts.size(); ++worker) parts[0][stream].merge(parts[worker][stream]);
    points[stream] = parts[0][stream].points();
  }
  return points;
}

// Few bins may mean few distinct values, which must then be represented exactly: looks, and gives up at the first one
// too many.
void refine_few_values(const DeltaInput& input, const DeltaPlan& plan, std::size_t stream, std::size_t limit,
                       std::vector<WeightedPoint>& points) {
  std::vector<std::set<float>> parts(static_cast<std::size_t>(worker_count(input.n)));
  for_each_masked_window(input, plan, [&](std::size_t worker, const Window& window, const std::uint8_t* flags) {
    const float* x = array_of(window, stream);
    for (std::uint64_t i = 0; i < window.n && parts[worker].size() <= limit; ++i) {
      if ((flags[i] & flag_of(stream)) != 0) parts[worker].insert(x[i]);
    }
  });
  for (std::size_t worker = 1; worker < parts.size(); ++worker) parts[0].merge(parts[worker]);
  if (parts[0].size() > limit) return;
  points.clear();
  for (const float value : parts[0]) points.push_back({static_cast<double>(value), 1});
}

// Everything that survived; only for the published k-means, which samples it.
std::vector<float> gather_survivors(const DeltaInput& input, const DeltaPlan& plan, std::size_t stream) {
  std::vector<std::vector<float>> blocks(block_count(input.n));
  for_each_masked_window(input, plan, [&](std::size_t, const Window& window, const std::uint8_t* flags) {
    const float* x = array_of(window, stream);
    for (std::uint64_t i = 0; i < window.n; ++i) {
      if ((flags[i] & flag_of(stream)) != 0) blocks[window.begin / kBlockElements].push_back(x[i]);
    }
  });
  std::vector<float> values;
  for (const std::vector<float>& block : blocks) values.insert(values.end(), block.begin(), block.end());
  return values;
}

void make_codebooks(const DeltaInput& input, const Options& options, DeltaPlan& plan) {
  Points points = collect_survivors(input, plan);
  for (std::size_t stream = 0; stream < kStreams; ++stream) {
    const int bits = stream == kWeight ? options.weight_bits : options.moment_bits;
    const auto limit = static_cast<std::size_t>(max_centres(bits));
    std::vector<WeightedPoint>& mine = points[stream];
    if (mine.empty()) continue;
    std::uint64_t kept = 0;
    for (const WeightedPoint& point : mine) kept += point.count;
    if (mine.size() <= limit && kept > Survivors::kExactLimit) refine_few_values(input, plan, stream, limit, mine);
    const bool positive = stream >= kSecond && !options.fp16_codebooks;
    Quantizer quantizer;
    if (options.sampled_kmeans && mine.size() > limit) {
      Rng rng(1234 + stream);
      quantizer = make_quantizer(kmeans_sampled(gather_survivors(input, plan, stream), max_centres(bits), rng).centres,
                                 positive);
    } else {
      quantizer = make_quantizer(codebook_centres(std::move(mine), max_centres(bits), positive), positive);
    }
    if (options.fp16_codebooks) round_to_half(quantizer.centres);
    plan.codebooks[stream] = std::move(quantizer.centres);
    plan.boundaries[stream] = std::move(quantizer.boundaries);
  }
}

float mean_of_pruned(PlanWorker& worker, const DeltaPlan& plan, std::uint64_t begin, std::uint64_t end) {
  double total = 0;
  std::uint64_t count = 0;
  for (; begin < end; begin += kWindowElements) {
    const Window window = worker.reader.all(begin, std::min(kWindowElements, end - begin));
    keep_flags(window, plan, worker.scratch.data(), worker.flags.data());
    for (std::uint64_t i = 0; i < window.n; ++i) {
      if ((worker.flags[i] & kKeepMoment) != 0) continue;
      total += static_cast<double>(window.second[i]);
      ++count;
    }
  }
  return count == 0 ? 0 : static_cast<float>(total / static_cast<double>(count));
}

// fill_pruned_second: the mean of the pruned second moments of each row.
void make_row_means(const DeltaInput& input, DeltaPlan& plan) {
  constexpr std::uint64_t kShortestRow = 64;  // shorter rows would cost more than they tell
  plan.row_length = input.row_length >= kShortestRow ? input.row_length : input.n;
  const std::uint64_t rows = (input.n + plan.row_length - 1) / plan.row_length;
  plan.row_means.resize(rows);
  constexpr std::uint64_t kRowsAtOnce = 256;  // one worker's buffers serve so many rows
  const auto chunks = static_cast<std::int64_t>((rows + kRowsAtOnce - 1) / kRowsAtOnce);
  parallel_for(chunks, [&](std::int64_t chunk) {
    PlanWorker worker(input);
    const std::uint64_t first_row = static_cast<std::uint64_t>(chunk) * kRowsAtOnce;
    for (std::uint64_t row = first_row; row < std::min(rows, first_row + kRowsAtOnce); ++row) {
      plan.row_means[row] =
          mean_of_pruned(worker, plan, row * plan.row_length, std::min(input.n, (row + 1) * plan.row_length));
    }
  });
}

}  // namespace

double effective_lambda(double alpha, double mean_second_moment, double cap) {
  return mean_second_moment > 0 ? std::min(cap, alpha / std::sqrt(mean_second_moment)) : cap;
}

Kept keep_flags(const Window& window, const DeltaPlan& plan, float* scratch, std::uint8_t* flags) {
  const float* residual = window.delta;
  if (plan.element_cap > 0 && window.second != nullptr) {
    // |dW_i| > lambda_i * median is |dW_i| / lambda_i > median.
    const auto scale = static_cast<float>(plan.element_scale), cap = static_cast<float>(plan.element_cap);
    for (std::uint64_t i = 0; i < window.n; ++i) {
      const float second = window.second[i];
      const float lambda = second > 0 ? std::min(cap, scale / std::sqrt(second)) : cap;
      scratch[i] = window.delta[i] == 0 ? 0 : window.delta[i] / lambda;
    }
    residual = scratch;
  }
  Kept kept;
  kept.weights = build_keep_flags(residual, window.first, window.n, plan.weight_threshold, plan.moment_threshold,
                                  plan.joint_mask, flags, &kept.moments);
  return kept;
}

DeltaPlan plan_delta(const DeltaInput& input, const Options& options) {
  DeltaPlan plan;
  const Totals totals = scan(input);
  set_thresholds(input, options, totals, plan);
  make_codebooks(input, options, plan);
  if (options.fill_pruned_second && input.second_moment) make_row_means(input, plan);
  return plan;
}

}  // namespace kinglet::excp
