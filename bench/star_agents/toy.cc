// Does choosing answers by judge and dual score make better training data? The whole method with real language models
// on a task that they learn in seconds, with simulated generators and a noisy judge.
//
//   toy [--seeds N] [--small-steps N] [--large-steps N]
//
// A small model (the target) and a large one are trained; nine generators and a base answer 2,000 seeds; each way of
// choosing one answer a seed gives a training set, on which the small model is tuned. Printed are the share of correct
// letters in the set and the exact matches of the tuned model on fresh items, mean over seeds and seed by seed.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "bench/star_agents/toy_task.h"

#include "kinglet/base/table.h"
#include "kinglet/methods/star_agents/draw.h"
#include "kinglet/methods/star_agents/dual_score.h"
#include "kinglet/methods/star_agents/pair_probabilities.h"
#include "kinglet/methods/star_agents/selection.h"
#include "kinglet/models/decoder/decoder.h"
#include "kinglet/nn/token_loss.h"
#include "kinglet/nn/torch.h"
#include "kinglet/train/adamw.h"
#include "kinglet/train/torch_threads.h"

namespace kinglet::star_agents::toy {
namespace {

constexpr std::size_t kSeeds = 2000, kTests = 1000, kSamples = 4, kGeneratorCount = kGenerators.size();
constexpr int kEpochs = 8, kBatch = 64;

struct Example {
  Row tokens;
  std::size_t answer_begin = 0;  // the first token that counts
};

Example example_of(const Item* item, const Row& answer) {
  Example example;
  example.tokens = {kBegin};
  if (item != nullptr) {
    example.tokens.push_back(kLetters + item->task);
    example.tokens.insert(example.tokens.end(), item->input.begin(), item->input.end());
  }
  example.tokens.push_back(kAnswer);
  example.answer_begin = example.tokens.size();
  example.tokens.insert(example.tokens.end(), answer.begin(), answer.end());
  example.tokens.push_back(kEnd);
  return example;
}

struct Batch {
  at::Tensor tokens, labels;  // [batch, window]; label -100 where nothing counts
};

Batch batch_of(std::span<const Example> examples) {
  const auto rows = static_cast<std::int64_t>(examples.size());
  Batch batch{at::full({rows, kWindow}, kEnd, at::kLong), at::full({rows, kWindow}, -100, at::kLong)};
  for (std::int64_t row = 0; row < rows; ++row) {
    const Example& one = examples[static_cast<std::size_t>(row)];
    auto* tokens = batch.tokens.data_ptr<std::int64_t>() + row * kWindow;
    auto* labels = batch.labels.data_ptr<std::int64_t>() + row * kWindow;
    std::copy(one.tokens.begin(), one.tokens.end(), tokens);
    for (std::size_t i = one.answer_begin; i < one.tokens.size(); ++i) labels[i - 1] = one.tokens[i];
  }
  return batch;
}

using Model = std::shared_ptr<Decoder>;

Model make_model(int layers, std::uint64_t seed) {
  Model model = std::make_shared<Decoder>(parse_decoder_config(
      fmt::format(R"({{"model_type": "llama", "vocab_size": {}, "hidden_size": 64, "intermediate_size": 176,
        "num_hidden_layers": {}, "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 64}})",
                  kVocabulary, layers),
      "toy"));
  model->initialize(seed);
  return model;
}

Model copy_of(const Model& model) {
  Model copy = std::make_shared<Decoder>(model->config());
  const torch::NoGradGuard guard;
  const auto from = model->named_parameters();
  for (auto& item : copy->named_parameters()) item.value().copy_(from[item.key()]);
  return copy;
}

void train(const Model& model, int steps, double peak, const std::function<std::vector<Example>()>& next) {
  std::vector<NamedParameter> parameters;
  for (const auto& item : model->named_parameters()) parameters.push_back({item.key(), item.value()});
  AdamW optimizer(parameters, {.beta2 = 0.99, .weight_decay = 0});
  for (int step = 0; step < steps; ++step) {
    const std::vector<Example> examples = next();
    const Batch batch = batch_of(examples);
    optimizer.clear_gradients();
    const at::Tensor hidden = model->forward({.tokens = batch.tokens});
    const at::Tensor labels = batch.labels.reshape({-1});
    const auto counted = static_cast<double>(nn::counted_labels(labels));
    const at::Tensor loss =
        nn::token_loss_sum(hidden.reshape({-1, hidden.size(-1)}), model->output_weight(), labels) / counted;
    loss.backward();
    const double warm = std::min(1.0, (step + 1) / 50.0);
    const double cosine = 0.5 * (1 + std::cos(M_PI * step / steps));
    const double norm = optimizer.gradient_norm();
    optimizer.step(peak * warm * (0.1 + 0.9 * cosine), norm > 1 ? 1 / norm : 1);
  }
}

// A fifth of the batches without instruction; a tenth of the answers random.
Model pretrain(int layers, int steps, std::uint64_t seed) {
  Model model = make_model(layers, seed);
  Rng rng(seed);
  train(model, steps, 3e-3, [&] {
    const bool without = rng.uniform() < 0.2;
    std::vector<Example> examples;
    for (int i = 0; i < kBatch; ++i) {
      const Item item = random_item(rng);
      const Row answer = rng.uniform() < 0.1 ? random_letters(item.input.size(), rng) : solve(item.task, item.input);
      examples.push_back(example_of(without ? nullptr : &item, answer));
    }
    return examples;
  });
  return model;
}

double exact_match(const Model& model, std::uint64_t seed) {
  const torch::NoGradGuard guard;
  Rng rng(seed);
  std::vector<Example> examples;
  for (std::size_t i = 0; i < kTests; ++i) {
    const Item item = random_item(rng);
    examples.push_back(example_of(&item, solve(item.task, item.input)));
  }
  const Batch batch = batch_of(examples);
  // Greedy decoding gives the answer exactly where each token is the likeliest behind the right ones before it.
  const at::Tensor best = model->logits(model->forward({.tokens = batch.tokens})).argmax(-1);
  const at::Tensor right = at::logical_or(best.eq(batch.labels), batch.labels.eq(-100)).all(1);
  return right.to(at::kDouble).mean().item<double>();
}

std::vector<std::vector<double>> log_probabilities(const Model& model, const std::vector<Example>& examples) {
  const torch::NoGradGuard guard;
  std::vector<std::vector<double>> result;
  for (std::size_t begin = 0; begin < examples.size(); begin += 1000) {
    const auto part = std::span(examples).subspan(begin, std::min<std::size_t>(1000, examples.size() - begin));
    const Batch batch = batch_of(part);
    const at::Tensor logits = model->logits(model->forward({.tokens = batch.tokens}));
    const at::Tensor all = at::log_softmax(logits, -1).gather(-1, batch.labels.clamp_min(0).unsqueeze(-1)).contiguous();
    for (std::size_t row = 0; row < part.size(); ++row) {
      const float* values = all.data_ptr<float>() + row * kWindow;
      result.emplace_back(values + part[row].answer_begin - 1, values + part[row].tokens.size() - 1);
    }
  }
  return result;
}

// Answers, scores and verdicts of every generator for every seed; the base is the last one.
struct World {
  std::vector<Item> items;
  std::vector<std::vector<Row>> answers;
  std::vector<std::vector<Likelihoods>> small, large;
  std::vector<std::vector<double>> judge;  // against the base
};

std::vector<std::vector<Likelihoods>> score_all(const Model& model, const World& world) {
  std::vector<Example> with, without;
  for (std::size_t i = 0; i < world.items.size(); ++i) {
    for (const Row& answer : world.answers[i]) {
      with.push_back(example_of(&world.items[i], answer));
      without.push_back(example_of(nullptr, answer));
    }
  }
  const auto conditional = log_probabilities(model, with), unconditional = log_probabilities(model, without);
  std::vector<std::vector<Likelihoods>> result(world.items.size());
  for (std::size_t k = 0; k < with.size(); ++k) {
    result[k / (kGeneratorCount + 1)].push_back(
        likelihoods_of(conditional[k], unconditional[k], static_cast<std::int64_t>(conditional[k].size())));
  }
  return result;
}

World make_world(const Model& small, const Model& large, std::uint64_t seed) {
  World world;
  Rng rng(seed + 1000);
  for (std::size_t i = 0; i < kSeeds; ++i) {
    world.items.push_back(random_item(rng));
    world.answers.emplace_back();
    for (std::size_t g = 0; g <= kGeneratorCount; ++g) {
      world.answers.back().push_back(answer_of(g, world.items[i], rng));
    }
    const double base = correct_letters(world.items[i], world.answers[i][kBase]);
    world.judge.emplace_back();
    for (std::size_t g = 0; g <= kGeneratorCount; ++g) {
      const double quality = correct_letters(world.items[i], world.answers[i][g]);
      double verdict = quality > base ? 1 : quality < base ? 0 : 0.5;
      if (rng.uniform() < 0.15) verdict = static_cast<double>(rng.below(3)) / 2;  // the judge errs
      world.judge.back().push_back(verdict);
    }
  }
  world.small = score_all(small, world);
  world.large = score_all(large, world);
  return world;
}

enum class Way { kBase, kRandom, kIfdTop, kJudge, kDual, kJudgeDual };

struct Arm {
  std::string name;
  Way way;
  bool raw = false;
  bool evolve = false;
};

struct ArmResult {
  double correct = 0;
  double exact = 0;
  std::vector<double> probabilities;
};

// The place in `drawn` (0: the base) of the answer that this way keeps, and its composite.
Choice keep(const Arm& arm, const World& world, std::size_t seed, const std::vector<std::size_t>& drawn, Rng& rng) {
  if (arm.way == Way::kBase) return {};
  if (arm.way == Way::kRandom) return {1 + rng.below(drawn.size() - 1), 0, 0};
  std::vector<std::optional<double>> gaps, verdicts;
  for (const std::size_t g : drawn) {
    gaps.push_back(ifd_gap(world.small[seed][g], world.large[seed][g], {.raw = arm.raw}));
    verdicts.emplace_back(world.judge[seed][g]);
  }
  if (arm.way == Way::kIfdTop || arm.way == Way::kDual) {
    std::size_t best = 0;
    double best_value = -1e30;
    for (std::size_t k = arm.way == Way::kIfdTop ? 1 : 0; k < drawn.size(); ++k) {
      double value = gaps[k].value_or(-1e30);
      if (arm.way == Way::kIfdTop) {
        value = ifd_perplexity(world.small[seed][drawn[k]]).value_or(2);
        if (value >= 1) value = -value;
      }
      if (value > best_value) {
        best = k;
        best_value = value;
      }
    }
    return {best, 1, 0};
  }
  std::vector<Candidate> candidates;
  const std::vector<double> duals = dual_scores(gaps, {.raw = arm.raw});
  for (std::size_t k = 0; k < drawn.size(); ++k) {
    if (arm.way == Way::kJudge)
      candidates.push_back({.dual = 1, .gap = rng.uniform(), .text = k});  // ties by chance
    else
      candidates.push_back({.dual = duals[k], .gap = gaps[k].value_or(0), .text = k});
  }
  return choose(candidates, verdicts);
}

ArmResult run_arm(const Arm& arm, const World& world, const Model& small, std::uint64_t seed) {
  PairProbabilities probabilities(kGeneratorCount);
  Rng draws(seed + 2000), ties(seed + 3000);
  std::vector<Example> kept;
  ArmResult result;
  for (std::size_t i = 0; i < kSeeds; ++i) {
    std::vector<std::size_t> drawn = draw_pairs(probabilities.values(), {}, {}, {kSamples, 0}, draws);
    drawn.insert(drawn.begin(), kBase);
    const Choice choice = keep(arm, world, i, drawn, ties);
    const std::size_t winner = drawn[choice.winner];
    if (arm.evolve && winner != kBase) {
      probabilities.reward(winner, std::min(choice.composite, 1.0), 7.0 / kSeeds);
    }
    result.correct += correct_letters(world.items[i], world.answers[i][winner]) / kSeeds;
    kept.push_back(example_of(&world.items[i], world.answers[i][winner]));
  }
  result.probabilities.assign(probabilities.values().begin(), probabilities.values().end());
  const Model tuned = copy_of(small);
  Rng order(seed + 4000);
  train(tuned, static_cast<int>(kSeeds * kEpochs / kBatch), 1e-3, [&] {
    std::vector<Example> examples;
    for (int k = 0; k < kBatch; ++k) examples.push_back(kept[order.below(kept.size())]);
    return examples;
  });
  result.exact = exact_match(tuned, seed + 5000);
  return result;
}

void print_gaps(const World& world) {
  Table table({{"generator"}, {"IFD small"}, {"IFD large"}, {"gap, raw"}, {"gap, clipped"}});
  for (std::size_t g = 0; g <= kGeneratorCount; ++g) {
    double small = 0, large = 0, raw = 0, clipped = 0;
    for (std::size_t i = 0; i < kSeeds; ++i) {
      small += *ifd_perplexity(world.small[i][g]) / kSeeds;
      large += *ifd_perplexity(world.large[i][g]) / kSeeds;
      raw += *ifd_gap(world.small[i][g], world.large[i][g], {.raw = true}) / kSeeds;
      clipped += *ifd_gap(world.small[i][g], world.large[i][g]) / kSeeds;
    }
    const std::string name = g == kBase ? "base (10 % wrong)" : std::string(kGenerators[g]);
    table.add_row({name, fmt::format("{:.2f}", small), fmt::format("{:.2f}", large), fmt::format("{:+.3f}", raw),
                   fmt::format("{:+.3f}", clipped)});
  }
  fmt::print("{}\n", table.to_markdown());
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::string list(const std::vector<double>& values) {
  std::string text;
  for (const double value : values) text += fmt::format("{}{:.3f}", text.empty() ? "" : " ", value);
  return text;
}

void run(int seeds, int small_steps, int large_steps) {
  const std::vector<Arm> arms{{"base only (no method)", Way::kBase},
                              {"random of M", Way::kRandom},
                              {"IFD-top (highest IFD below 1)", Way::kIfdTop},
                              {"judge only", Way::kJudge},
                              {"raw dual only", Way::kDual, true},
                              {"judge x raw dual", Way::kJudgeDual, true},
                              {"judge x raw dual + evolution", Way::kJudgeDual, true, true},
                              {"clipped dual only", Way::kDual},
                              {"judge x clipped dual", Way::kJudgeDual},
                              {"judge x clipped dual + evolution", Way::kJudgeDual, false, true}};
  std::map<std::string, std::vector<double>> correct, exact;
  std::vector<double> start_small, start_large;
  for (int run = 1; run <= seeds; ++run) {
    const auto seed = static_cast<std::uint64_t>(run);
    const Model small = pretrain(2, small_steps, seed * 10), large = pretrain(3, large_steps, seed * 10 + 1);
    start_small.push_back(exact_match(small, seed + 5000));
    start_large.push_back(exact_match(large, seed + 5000));
    fmt::print("seed {}: the small model solves {:.3f}, the large one {:.3f}\n\n", run, start_small.back(),
               start_large.back());
    std::fflush(stdout);
    const World world = make_world(small, large, seed);
    if (run == 1) print_gaps(world);
    for (const Arm& arm : arms) {
      const ArmResult result = run_arm(arm, world, small, seed);
      correct[arm.name].push_back(result.correct);
      exact[arm.name].push_back(result.exact);
      fmt::print("  {:<34} {:.3f} {:.3f}", arm.name, result.correct, result.exact);
      if (arm.evolve) fmt::print("   p {}", list(result.probabilities));
      fmt::print("\n");
      std::fflush(stdout);
    }
    fmt::print("\n");
  }
  Table table({{"kept answer a seed"}, {"correct letters"}, {"exact match after tuning"}, {"seed by seed"}});
  for (const Arm& arm : arms) {
    table.add_row({arm.name, fmt::format("{:.3f}", mean(correct[arm.name])),
                   fmt::format("{:.3f}", mean(exact[arm.name])), list(exact[arm.name])});
  }
  fmt::print("{} seeds; small model {:.3f}, large model {:.3f} before tuning\n\n{}", seeds, mean(start_small),
             mean(start_large), table.to_markdown());
}

}  // namespace
}  // namespace kinglet::star_agents::toy

int main(int argc, char** argv) {
  int seeds = 5, small_steps = 1500, large_steps = 1500;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--seeds") == 0) seeds = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--small-steps") == 0) small_steps = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--large-steps") == 0) large_steps = std::atoi(argv[i + 1]);
  }
  kinglet::share_torch_threads();
  kinglet::star_agents::toy::run(seeds, small_steps, large_steps);
  return 0;
}
