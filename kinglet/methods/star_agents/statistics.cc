#include "kinglet/methods/star_agents/statistics.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace kinglet::star_agents {
namespace {

constexpr std::size_t kExamples = 12;
constexpr double kNarrowGap = 0.05;
constexpr std::size_t kEnoughVerdicts = 20;

}  // namespace

void RunningMean::add(double value) {
  ++count_;
  const double difference = value - mean_;
  mean_ += difference / static_cast<double>(count_);
  squares_ += difference * (value - mean_);
}

double RunningMean::deviation() const { return count_ < 2 ? 0 : std::sqrt(squares_ / static_cast<double>(count_ - 1)); }

void Histogram::add(double value) {
  const double place = std::clamp((value - low_) / width(), 0.0, static_cast<double>(counts_.size()) - 1);
  ++counts_[static_cast<std::size_t>(place)];
}

RunStatistics::RunStatistics(const Settings& settings) : fit_(settings.fit) {
  for (std::size_t i = 0; i < settings.pairs.size(); ++i) pairs.push_back({.name = pair_name(settings, i)});
  base.name = settings.base_agent ? settings.response_agents[*settings.base_agent].name + " (base)" : "seed (base)";
}

void RunStatistics::add(const Seed& seed, const SeedOutcome& outcome) {
  ++seeds;
  for (const CandidateOutcome& one : outcome.candidates) {
    PairStatistics& pair = of(one);
    ++pair.drawn;
    if (!one.problem.empty()) {
      ++pair.unusable;
      ++problems[one.problem.substr(0, one.problem.find(':'))];
    }
    if (one.gap) {
      pair.gap.add(*one.gap);
      gaps.add(*one.gap);
      duals.add(one.dual);
    }
    if (one.shown_first && one.shown_second) {
      ++judged_both;
      same_place += *one.shown_first == *one.shown_second && *one.shown_first != Verdict::kTie;
    }
    if (one.pair && (one.shown_first || one.shown_second) && one.judge) {
      ++pair.compared;
      pair.preferred += *one.judge == 1;
      ++judge_scores[static_cast<std::size_t>(std::lround(2 * *one.judge))];
    }
  }
  const CandidateOutcome& winner = outcome.winner();
  ++of(winner).wins;
  kept_seed += !winner.pair && (winner.model == "seed" || !winner.problem.empty());
  composite.add(outcome.choice.composite);
  composites.add(outcome.choice.composite);
  judge_calls += outcome.judge_calls;
  verdicts_missing += outcome.verdicts_missing;
  for (const auto& [role, tokens] : outcome.usage) usage[role] += tokens;
  if (winner.pair) add_example(seed, outcome);
}

void RunStatistics::add_example(const Seed& seed, const SeedOutcome& outcome) {
  // The seeds of a run come in random order: the first ones are a fair choice.
  if (examples.size() >= kExamples) return;
  const CandidateOutcome& winner = outcome.winner();
  examples.push_back({seed.instruction(), seed.response, winner.instruction, winner.response, of(winner).name,
                      outcome.choice.composite, winner.gap.value_or(0)});
}

void RunStatistics::add(const WaveState& state) {
  WavePoint point{state.seeds, {state.probabilities.begin(), state.probabilities.end()}, {}};
  for (const PairStatistics& pair : pairs) point.wins.push_back(pair.wins);
  point.wins.push_back(base.wins);
  history.push_back(std::move(point));
}

std::vector<std::string> RunStatistics::warnings() const {
  std::vector<std::string> result;
  if (fit_ == Fit::kDual && base.gap.count() > 0 && base.gap.mean() < kNarrowGap) {
    result.push_back(
        fmt::format("the base answers' mean gap is {:.3f}: the two scorers are too much alike for the dual "
                    "score to mean much; take a larger second one",
                    base.gap.mean()));
  }
  for (const PairStatistics& pair : pairs) {
    if (pair.drawn >= 20 && pair.unusable * 2 > pair.drawn) {
      result.push_back(fmt::format("{} of {} answers of '{}' could not be used", pair.unusable, pair.drawn, pair.name));
    }
  }
  if (verdicts_missing * 20 > judge_calls) {
    result.push_back(fmt::format("the judge gave no verdict in {} of {} calls", verdicts_missing, judge_calls));
  }
  if (judged_both >= kEnoughVerdicts && same_place * 4 > judged_both * 3) {
    result.push_back(
        fmt::format("the judge preferred the same place, whichever answer stood there, in {} of {} "
                    "comparisons: its verdicts say nothing; take another judge",
                    same_place, judged_both));
  }
  return result;
}

Json RunStatistics::to_json() const {
  Json json = Json::object();
  json["seeds"] = seeds;
  json["base_wins"] = base.wins;
  json["kept_seed"] = kept_seed;
  json["mean_composite"] = composite.mean();
  json["judge_calls"] = judge_calls;
  json["verdicts_missing"] = verdicts_missing;
  json["judged_both"] = judged_both;
  json["same_place"] = same_place;
  json["pairs"] = Json::array();
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const PairStatistics& pair = pairs[i];
    json["pairs"].push_back({{"pair", pair.name},
                             {"probability", history.empty() ? 0 : history.back().probabilities[i]},
                             {"drawn", pair.drawn},
                             {"unusable", pair.unusable},
                             {"compared", pair.compared},
                             {"preferred", pair.preferred},
                             {"wins", pair.wins},
                             {"mean_gap", pair.gap.mean()},
                             {"gap_deviation", pair.gap.deviation()}});
  }
  json["base_mean_gap"] = base.gap.mean();
  json["problems"] = Json::object();
  for (const auto& [problem, count] : problems) json["problems"][problem] = count;
  json["usage"] = Json::object();
  for (const auto& [role, tokens] : usage) {
    json["usage"][role] = {{"prompt_tokens", tokens.prompt}, {"completion_tokens", tokens.completion}};
  }
  json["warnings"] = warnings();
  return json;
}

}  // namespace kinglet::star_agents
