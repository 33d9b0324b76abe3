// What the evolution of the pair probabilities and the memory bank do, with simulated pairs instead of models.
//
//   evolution [seeds]      seeds: random seeds a row (20); prints three Markdown tables with mean and standard
//   deviation
//
// 1. Two pairs, one draw a seed: the log-odds grow by beta * seeds * (difference of success rates), and a large beta
//    locks in luck. 2. Nine pairs: shape of the paper's figure 5, and the control that draws with replacement. 3.
//    Memory bank: specialists are found through similar seeds; control: embeddings that are shuffled.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "kinglet/base/rng.h"
#include "kinglet/base/table.h"
#include "kinglet/methods/star_agents/draw.h"
#include "kinglet/methods/star_agents/memory_bank.h"
#include "kinglet/methods/star_agents/pair_probabilities.h"

namespace kinglet::star_agents {
namespace {

struct Spread {
  double mean = 0, deviation = 0;
};

Spread spread_of(const std::vector<double>& values) {
  Spread result;
  const auto count = static_cast<double>(values.size());
  result.mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.deviation = values.size() > 1 ? std::sqrt(squares / (count - 1)) : 0;
  return result;
}

std::string text_of(const Spread& spread) { return fmt::format("{:.3f} ± {:.3f}", spread.mean, spread.deviation); }

Spread repeat(int seeds, const std::function<double(std::uint64_t)>& run) {
  std::vector<double> values;
  for (int seed = 1; seed <= seeds; ++seed) values.push_back(run(static_cast<std::uint64_t>(seed)));
  return spread_of(values);
}

void two_pairs(int seeds) {
  Table table({{"beta"}, {"seeds"}, {"log(p_a / p_b)"}, {"expected"}, {"runs with the wrong favourite"}});
  for (const double beta : {1e-4, 1e-3, 1e-2, 1e-1}) {
    const auto steps = static_cast<int>(std::lround(4 / beta));
    const int runs = 10 * seeds;
    int wrong = 0;
    const Spread odds = repeat(runs, [&](std::uint64_t seed) {
      Rng rng(seed);
      PairProbabilities p(2);
      for (int step = 0; step < steps; ++step) {
        const std::size_t pair = draw_different(p.values(), {0, 1}, 1, rng).front();
        p.reward(pair, rng.uniform() < (pair == 0 ? 0.6 : 0.3) ? 1 : 0, beta);
      }
      wrong += p.values()[0] < p.values()[1];
      return std::log(p.values()[0] / p.values()[1]);
    });
    table.add_row({fmt::format("{}", beta), fmt::format("{}", steps), text_of(odds), "1.2",
                   fmt::format("{} of {}", wrong, runs)});
  }
  fmt::print("## Two pairs with success rates 0.6 and 0.3, one draw a seed\n\n{}\n", table.to_markdown());
}

struct NinePairs {
  std::size_t samples;
  bool replacement;
  bool reward_all;
};

std::vector<double> evolve_nine(const NinePairs& setting, std::uint64_t seed) {
  constexpr double kRates[] = {.30, .21, .20, .19, .18, .17, .16, .12, .05};
  constexpr double kBeta = 1e-4;
  constexpr int kSeeds = 70'000;
  Rng rng(seed);
  PairProbabilities p(std::size(kRates));
  for (int step = 0; step < kSeeds; ++step) {
    std::vector<std::size_t> drawn;
    if (setting.replacement) {
      for (std::size_t i = 0; i < setting.samples; ++i) {
        drawn.push_back(draw_pairs(p.values(), {}, {}, {1, 0}, rng).front());
      }
    } else {
      drawn = draw_pairs(p.values(), {}, {}, {setting.samples, 0}, rng);
    }
    std::vector<Reward> good;
    for (const std::size_t pair : drawn) {
      if (rng.uniform() < kRates[pair]) good.push_back({pair, 1});
    }
    if (good.empty()) continue;
    if (setting.reward_all)
      p.reward(good, kBeta);
    else
      p.reward(good[rng.below(good.size())].pair, 1, kBeta);
  }
  return {p.values().begin(), p.values().end()};
}

void nine_pairs(int seeds) {
  Table table({{"M"}, {"drawn"}, {"rewarded"}, {"best pair ends at"}, {"second"}, {"worst"}});
  for (const bool replacement : {false, true}) {
    for (const std::size_t samples : {std::size_t{4}, std::size_t{5}}) {
      for (const bool all : {false, true}) {
        std::vector<double> best, second, worst;
        for (int seed = 1; seed <= std::max(3, seeds / 4); ++seed) {
          const auto p = evolve_nine({samples, replacement, all}, static_cast<std::uint64_t>(seed));
          best.push_back(p.front());
          second.push_back(p[1]);
          worst.push_back(p.back());
        }
        table.add_row({fmt::format("{}", samples), replacement ? "with replacement" : "without", all ? "all" : "winner",
                       text_of(spread_of(best)), text_of(spread_of(second)), text_of(spread_of(worst))});
      }
    }
  }
  fmt::print("## Nine pairs, beta 1e-4, 70,000 seeds (all start at 0.111)\n\n{}\n", table.to_markdown());
}

enum class Memory { kNone, kBank, kShuffled };

// Nine pairs: two generalists, four specialists of one cluster each, three weak ones.
double success_rate(std::size_t pair, std::size_t cluster) {
  if (pair == 0) return 0.55;
  if (pair == 1) return 0.45;
  if (pair < 6) return pair - 2 == cluster ? 0.95 : 0.15;
  return 0.10;
}

// Mean success rate of the winners; a seed where nothing succeeded keeps its base and counts 0.
double clusters(double beta, Memory memory, std::uint64_t seed) {
  constexpr std::size_t kDimension = 16, kClusters = 4, kPairs = 9;
  constexpr int kSeeds = 20'000;
  Rng rng(seed);
  const auto unit = [&](const std::vector<float>& around, double noise) {
    std::vector<float> vector(kDimension);
    double norm = 0;
    for (std::size_t i = 0; i < kDimension; ++i) {
      vector[i] = around[i] + static_cast<float>(noise * rng.normal());
      norm += vector[i] * vector[i];
    }
    for (float& value : vector) value /= static_cast<float>(std::sqrt(norm));
    return vector;
  };
  std::vector<std::vector<float>> centres;
  for (std::size_t i = 0; i < kClusters; ++i) centres.push_back(unit(std::vector<float>(kDimension, 0.0F), 1));
  PairProbabilities p(kPairs);
  MemoryBank bank(kDimension, {});
  double quality = 0;
  for (int step = 0; step < kSeeds; ++step) {
    const std::size_t cluster = rng.below(kClusters);
    const std::size_t shown = memory == Memory::kShuffled ? rng.below(kClusters) : cluster;
    const std::vector<float> embedding = unit(centres[shown], 0.1);
    const auto remembered = memory == Memory::kNone ? std::vector<std::size_t>() : bank.recall(embedding);
    std::vector<std::size_t> good;
    for (const std::size_t pair : draw_pairs(p.values(), remembered, {}, {4, 2}, rng)) {
      if (rng.uniform() < success_rate(pair, cluster)) good.push_back(pair);
    }
    if (good.empty()) continue;
    const std::size_t winner = good[rng.below(good.size())];
    quality += success_rate(winner, cluster);
    p.reward(winner, rng.uniform(), beta);  // a composite score
    if (memory != Memory::kNone) bank.remember(embedding, winner);
  }
  return quality / kSeeds;
}

void memory_bank(int seeds) {
  struct Row {
    const char* name;
    double beta;
    Memory memory;
  };
  Table table({{"probabilities"}, {"mean quality of the winner"}});
  const int runs = std::max(3, seeds / 4);
  for (const Row& row : {Row{"uniform", 0, Memory::kNone}, Row{"evolution", 3.5e-4, Memory::kNone},
                         Row{"evolution + memory bank", 3.5e-4, Memory::kBank},
                         Row{"evolution + memory bank, embeddings shuffled", 3.5e-4, Memory::kShuffled}}) {
    table.add_row(
        {row.name, text_of(repeat(runs, [&](std::uint64_t seed) { return clusters(row.beta, row.memory, seed); }))});
  }
  fmt::print("## Four clusters of instructions, specialists among the pairs, M 4, l 2, n 10, 20,000 seeds\n\n{}\n",
             table.to_markdown());
}

}  // namespace
}  // namespace kinglet::star_agents

int main(int argc, char** argv) {
  const int seeds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 20;
  kinglet::star_agents::two_pairs(seeds);
  kinglet::star_agents::nine_pairs(seeds);
  kinglet::star_agents::memory_bank(seeds);
  return 0;
}
