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
  ValueHistogram residuals;
  std::uint64_t zero_residuals = 0;
  double first_magnitudes = 0, second = 0;
};

struct Counts {
  std::uint64_t zero_residuals = 0;
  std::uint64_t weight = 0, first = 0, second = 0, negative = 0;
};

struct BlockSums {
  double first = 0, second = 0;
};

void scan_window(const Window& window, ValueHistogram& residuals, BlockSums& sums, Counts& bad) {
  residuals.add(window.delta, window.n);
  bad.zero_residuals += count_zeros(window.delta, window.n);
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

void refuse_bad_values(const DeltaInput& input, const std::vector<Counts>& workers) {
  Counts bad;
  for (const Counts& worker : workers) {
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
  std::vector<ValueHistogram> residuals(static_cast<std::size_t>(workers));
  std::vector<Counts> bad(static_cast<std::size_t>(workers));
  std::vector<WindowReader> readers(static_cast<std::size_t>(workers), WindowReader(input));
  std::vector<BlockSums> sums(block_count(input.n));
  for_each_block(input.n, workers, [&](std::size_t worker, std::uint64_t block) {
    for_each_window(input.n, block, [&](std::uint64_t begin, std::uint64_t n) {
      scan_window(readers[worker].all(begin, n), residuals[worker], sums[block], bad[worker]);
    });
  });
  refuse_bad_values(input, bad);
  for (std::size_t worker = 1; worker < residuals.size(); ++worker) residuals[0].merge(residuals[worker]);
  Totals totals{std::move(residuals[0])};
  for (const Counts& worker : bad) totals.zero_residuals += worker.zero_residuals;
  for (const BlockSums& block : sums) {  // in block order, whatever the number of workers
    totals.first_magnitudes += block.first;
    totals.second += block.second;
  }
  return totals;
}

// Pass 1b: the exact residual magnitude of a rank.
float residual_of_rank(const DeltaInput& input, ValueHistogram& residuals, std::uint64_t rank) {
  const std::int64_t workers = worker_count(input.n);
  std::vector<MagnitudeSelector> parts(static_cast<std::size_t>(workers), MagnitudeSelector(residuals, rank));
  std::vector<WindowReader> readers(static_cast<std::size_t>(workers), WindowReader(input));
  for_each_block(input.n, workers, [&](std::size_t worker, std::uint64_t block) {
    for_each_window(input.n, block, [&](std::uint64_t begin, std::uint64_t n) {
      parts[worker].add(readers[worker].residual(begin, n).delta, n);
    });
  });
  for (std::size_t worker = 1; worker < parts.size(); ++worker) parts[0].merge(parts[worker]);
  return parts[0].value();
}

// ------------------------------------------------------------------------- thresholds

// The lower median; zeros stand first in the order of magnitudes.
float median_magnitude(const DeltaInput& input, const Options& options, Totals& totals) {
  const std::uint64_t skipped = options.median_of_nonzeros ? totals.zero_residuals : 0;
  return residual_of_rank(input, totals.residuals, skipped + (input.n - skipped - 1) / 2);
}

// The smallest threshold that prunes the wanted share.
float sparsity_threshold(const DeltaInput& input, double sparsity, Totals& totals) {
  const auto pruned = static_cast<std::uint64_t>(std::ceil(sparsity * static_cast<double>(input.n)));
  return pruned == 0 ? 0 : residual_of_rank(input, totals.residuals, std::min(pruned, input.n) - 1);
}

void set_thresholds(const DeltaInput& input, const Options& options, Totals& totals, DeltaPlan& plan) {
  const auto n = static_cast<double>(input.n);
  const double mean_second = totals.second / n;
  plan.zero_residuals = totals.zero_residuals;
  plan.moment_threshold = static_cast<float>(options.beta * totals.first_magnitudes / n);
  plan.joint_mask = options.joint_mask && plan.zero_residuals < input.n;
  if (plan.zero_residuals == input.n) return;  // frozen: nothing to prune

  const float median = median_magnitude(input, options, totals);
  if (options.target_sparsity) {
    plan.weight_threshold = sparsity_threshold(input, *options.target_sparsity, totals);
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

// The residuals' histogram of pass 1 already holds the kept weights; only the two bins that the threshold splits need
// another look. Not with element-wise thresholds, and not when exact values will do.
bool can_use_residual_histogram(const DeltaPlan& plan, ValueHistogram& residuals) {
  return plan.element_cap == 0 && residuals.count_from_bin_of(plan.weight_threshold) > 2 * Survivors::kExactLimit;
}

struct SurvivorParts {
  std::array<Survivors, kStreams> streams;
  ValueHistogram::Edge edge;

  explicit SurvivorParts(float threshold) : edge(threshold) {}
};

Points collect_survivors(const DeltaInput& input, ValueHistogram& residuals, DeltaPlan& plan) {
  const bool from_histogram = can_use_residual_histogram(plan, residuals);
  std::vector<SurvivorParts> parts;
  for (std::int64_t worker = 0; worker < worker_count(input.n); ++worker) parts.emplace_back(plan.weight_threshold);
  const Kept kept =
      for_each_masked_window(input, plan, [&](std::size_t worker, const Window& window, const std::uint8_t* flags) {
        if (from_histogram) parts[worker].edge.add(window.delta, window.n);
        for (std::size_t stream = from_histogram ? kFirst : kWeight; stream < kStreams; ++stream) {
          const float* x = array_of(window, stream);
          if (x != nullptr) parts[worker].streams[stream].add(x, flags, flag_of(stream), window.n);
        }
      });
  plan.weights_kept = kept.weights;
  plan.moments_kept = kept.moments;
  Points points;
  for (std::size_t worker = 1; worker < parts.size(); ++worker) parts[0].edge.merge(parts[worker].edge);
  for (std::size_t stream = 0; stream < kStreams; ++stream) {
    for (std::size_t worker = 1; worker < parts.size(); ++worker) {
      parts[0].streams[stream].merge(parts[worker].streams[stream]);
    }
    points[stream] = parts[0].streams[stream].points();
  }
  if (from_histogram) {
    for (const ValueHistogram::Bin& bin : residuals.bins_above(plan.weight_threshold, parts[0].edge)) {
      points[kWeight].push_back({bin.mean, bin.count});
    }
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

void make_codebooks(const DeltaInput& input, const Options& options, ValueHistogram& residuals, DeltaPlan& plan) {
  Points points = collect_survivors(input, residuals, plan);
  for (std::size_t stream = 0; stream < kStreams; ++stream) {
    const int bits = stream == kWeight ? options.weight_bits : options.moment_bits;
    const auto limit = static_cast<std::size_t>(max_centres(bits));
    std::vector<WeightedPoint>& mine = points[stream];
    if (mine.empty()) continue;
    std::uint64_t kept = 0;
    for (const WeightedPoint& point : mine) kept += point.count;
    if (mine.size() <= limit && kept > mine.size()) refine_few_values(input, plan, stream, limit, mine);
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
  Totals totals = scan(input);
  set_thresholds(input, options, totals, plan);
  make_codebooks(input, options, totals.residuals, plan);
  if (options.fill_pruned_second && input.second_moment) make_row_means(input, plan);
  return plan;
}

}  // namespace kinglet::excp
