#include "kinglet/methods/mgsr/revision.h"

#include <algorithm>

#include "kinglet/base/rng.h"

namespace kinglet::mgsr {
namespace {

constexpr double kLeastDivergence = 1e-6;

std::vector<std::size_t> candidates_of(const std::vector<TokenId>& response, const Judgement& judgement) {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < response.size(); ++i) {
    if (judgement.teacher_tokens[i] != response[i]) result.push_back(i);
  }
  return result;
}

void note(RevisionReport& report, std::size_t place, std::size_t length, double divergence) {
  const double part = static_cast<double>(place + 1) / static_cast<double>(length);
  ++report.revised;
  report.divergence += divergence;
  report.place += part;
  ++report.places[std::min<std::size_t>(9, static_cast<std::size_t>(part * 10))];
}

}  // namespace

std::optional<std::size_t> error_token(const std::vector<TokenId>& response, const Judgement& judgement) {
  std::optional<std::size_t> worst;
  for (const std::size_t i : candidates_of(response, judgement)) {
    if (judgement.divergences[i] < kLeastDivergence) continue;
    if (!worst || judgement.divergences[i] > judgement.divergences[*worst]) worst = i;
  }
  return worst;
}

void RevisionReport::add(const RevisionReport& other) {
  sequences += other.sequences;
  revised += other.revised;
  candidates += other.candidates;
  tokens += other.tokens;
  divergence += other.divergence;
  place += other.place;
  for (std::size_t i = 0; i < places.size(); ++i) places[i] += other.places[i];
}

RevisionReport revise(std::vector<Example>& examples, RevisionModels& models, const RevisionSettings& settings,
                      const std::vector<TokenId>& ends, std::int64_t longest, std::uint64_t stream) {
  RevisionReport report;
  Rng streams(stream);
  const auto is_end = [&](TokenId token) { return std::find(ends.begin(), ends.end(), token) != ends.end(); };
  for (int round = 0; round < settings.rounds; ++round) {
    const std::vector<Judgement> judgements = models.judge(examples, streams.next());
    Rng choices(streams.next());
    std::vector<Example> unfinished;
    std::vector<std::int64_t> room;
    std::vector<std::size_t> numbers;
    for (std::size_t i = 0; i < examples.size(); ++i) {
      std::vector<TokenId>& response = examples[i].response;
      const std::vector<std::size_t> candidates = candidates_of(response, judgements[i]);
      ++report.sequences;
      report.candidates += static_cast<std::int64_t>(candidates.size());
      report.tokens += static_cast<std::int64_t>(response.size());
      std::optional<std::size_t> place = error_token(response, judgements[i]);
      if (!place) continue;
      if (settings.random_position) place = candidates[choices.below(candidates.size())];
      note(report, *place, response.size(), judgements[i].divergences[*place]);
      response[*place] = judgements[i].teacher_tokens[*place];
      examples[i].spans.clear();  // they were those of another text
      const bool ended = is_end(response[*place]);
      if (ended || !settings.keep_suffix) response.resize(*place + 1);
      const std::int64_t left =
          longest - static_cast<std::int64_t>(examples[i].prompt.size()) - static_cast<std::int64_t>(response.size());
      if (ended || settings.keep_suffix || left <= 0) continue;
      unfinished.push_back(examples[i]);
      room.push_back(left);
      numbers.push_back(i);
    }
    const std::uint64_t continuation = streams.next();
    if (unfinished.empty()) continue;
    const auto more = models.go_on(unfinished, room, continuation);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      std::vector<TokenId>& response = examples[numbers[i]].response;
      response.insert(response.end(), more[i].begin(), more[i].end());
    }
  }
  return report;
}

}  // namespace kinglet::mgsr
