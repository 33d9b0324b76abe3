// Examples as rows, spans of tokens, the choice of sequences, and correction with re-generation: what needs no model.
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/refusal.h"

#include "kinglet/methods/mgsr/example.h"
#include "kinglet/methods/mgsr/revision.h"
#include "kinglet/methods/mgsr/schedule.h"
#include "kinglet/methods/mgsr/spans.h"

namespace kinglet::mgsr {
namespace {

using testing::ElementsAre;
using testing_support::refusal;

std::vector<std::int64_t> row_of(const at::Tensor& matrix, std::int64_t row) {
  const at::Tensor values = matrix[row].contiguous();
  return {values.data_ptr<std::int64_t>(), values.data_ptr<std::int64_t>() + values.numel()};
}

// Three tokens of prompt and two of response are two rows, the first at |x| - 1.
TEST(Batch, PredictsEachTokenOfTheResponseFromTheTokenBefore) {
  const std::vector<Example> examples = {{{5, 6, 7}, {8, 9}, {}, 0}, {{5}, {8, 9, 2}, {}, 1}, {{5, 6}, {}, {}, 2}};
  const LanguageBatch batch = batch_of(examples, 0);
  EXPECT_THAT(row_of(batch.tokens, 0), ElementsAre(5, 6, 7, 8));
  EXPECT_THAT(row_of(batch.labels, 0), ElementsAre(-100, -100, 8, 9));
  EXPECT_THAT(row_of(batch.tokens, 1), ElementsAre(5, 8, 9, 0));
  EXPECT_THAT(row_of(batch.labels, 1), ElementsAre(8, 9, 2, -100));
  EXPECT_THAT(row_of(batch.labels, 2), ElementsAre(-100, -100, -100, -100));
  const ResponseRows rows = response_rows(examples, batch.tokens.size(1));
  EXPECT_THAT(rows.places, ElementsAre(2, 3, 4, 5, 6));
  EXPECT_THAT(rows.starts, ElementsAre(0, 2, 5, 5));
  const std::vector<std::int64_t> labels = row_of(batch.labels.reshape({1, -1}), 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const bool counted = std::find(rows.places.begin(), rows.places.end(), i) != rows.places.end();
    EXPECT_EQ(labels[i] != -100, counted) << i;
  }
}

TEST(Batch, OfShortExamples) {
  EXPECT_EQ(batch_of({{{5}, {}, {}, 0}}, 0).tokens.size(1), 1);
  EXPECT_THAT(row_of(batch_of({{{5}, {9}, {}, 0}}, 0).labels, 0), ElementsAre(9));
  // The longest example has no response: its whole prompt must find room.
  EXPECT_THAT(row_of(batch_of({{{5, 6, 7}, {}, {}, 0}, {{8}, {9}, {}, 1}}, 0).tokens, 0), ElementsAre(5, 6, 7));
}

TEST(NeighbourRows, StayInsideSpansAndExamples) {
  const std::vector<Example> examples = {{{1}, {2, 3, 4}, {}, 0}, {{1}, {2, 3, 4, 5}, {}, 1}};
  const ResponseRows rows = response_rows(examples, 4);
  EXPECT_THAT(neighbour_rows(rows, {{{0, 3}}, {{0, 1}, {1, 3}}}), ElementsAre(0, 1, 4));
  EXPECT_THAT(neighbour_rows(rows, {{{1, 9}}, {{2, 9}}}), ElementsAre(1, 5));  // beyond the end: cut
  EXPECT_TRUE(neighbour_rows(rows, {{}, {{0, 1}}}).empty());
}

TEST(Spans, OfTheTokensOfPhrases) {
  const testing_support::ByteTokenizer tokenizer;
  const std::string text = "the cat, of it";
  const std::vector<TokenId> tokens = tokenizer.encode(text, false);
  // Blanks belong to what follows; the comma to nothing.
  EXPECT_THAT(find_spans(tokenizer, tokens, {SpanSource::kRules}, 0), ElementsAre(TokenSpan{0, 7}, TokenSpan{8, 14}));
  EXPECT_THAT(find_spans(tokenizer, tokens, {SpanSource::kWords}, 0),
              ElementsAre(TokenSpan{0, 3}, TokenSpan{3, 7}, TokenSpan{8, 11}, TokenSpan{11, 14}));
  EXPECT_THAT(find_spans(tokenizer, tokens, {SpanSource::kSentence}, 0), ElementsAre(TokenSpan{0, 14}));
  EXPECT_THAT(find_spans(tokenizer, tokens, {SpanSource::kWindow, 6}, 0),
              ElementsAre(TokenSpan{0, 6}, TokenSpan{6, 12}, TokenSpan{12, 14}));
  EXPECT_TRUE(find_spans(tokenizer, std::vector<TokenId>{}, {SpanSource::kRules}, 0).empty());
}

TEST(Spans, OfHalfCharactersNeverFall) {
  const testing_support::ByteTokenizer tokenizer;
  std::vector<TokenId> tokens = tokenizer.encode("caf\xC3\xA9 na\xC3\xAFve", false);
  tokens.erase(tokens.begin() + 4);  // half a character is left
  const PlacedTokens placed = place_tokens(tokenizer, tokens);
  EXPECT_TRUE(std::is_sorted(placed.begins.begin(), placed.begins.end()));
  EXPECT_EQ(placed.begins.size(), tokens.size());
  for (const SpanSource source : {SpanSource::kRules, SpanSource::kWords, SpanSource::kSentence}) {
    for (const TokenSpan& span : find_spans(tokenizer, tokens, {source}, 0)) EXPECT_LE(span.end, tokens.size());
  }
}

TEST(Spans, AtRandomHaveTheLengthsOfTheRules) {
  const testing_support::ByteTokenizer tokenizer;
  const std::vector<TokenId> tokens =
      tokenizer.encode("the very old house of my father has been sold, and they left.", false);
  const auto lengths = [&](SpanSource source, std::uint64_t seed) {
    std::vector<std::size_t> result;
    std::size_t end = 0;
    for (const TokenSpan& span : find_spans(tokenizer, tokens, {source}, seed)) {
      EXPECT_LE(end, span.begin);
      EXPECT_LE(span.end, tokens.size());
      end = span.end;
      result.push_back(span.end - span.begin);
    }
    std::sort(result.begin(), result.end());
    return result;
  };
  EXPECT_EQ(lengths(SpanSource::kRandom, 1), lengths(SpanSource::kRules, 0));
  EXPECT_NE(find_spans(tokenizer, tokens, {SpanSource::kRandom}, 1),
            find_spans(tokenizer, tokens, {SpanSource::kRandom}, 2));
}

TEST(Names, OfWhatIsNotKnown) {
  EXPECT_NE(refusal([] { parse_span_source("spacy"); }).find("rules, field"), std::string::npos);
  EXPECT_NE(refusal([] { parse_policy("off"); }).find("offline"), std::string::npos);
  EXPECT_NE(refusal([] { parse_trend("up"); }).find("increasing"), std::string::npos);
}

TEST(ErrorToken, IsTheWorstOfThoseThatDiffer) {
  const std::vector<TokenId> response = {5, 7, 9, 2};
  EXPECT_EQ(error_token(response, {{5, 8, 9, 3}, {3.0, .4, 2.0, .9}}), 3U);
  EXPECT_EQ(error_token(response, {response, {3.0, .4, 2.0, .9}}), std::nullopt);
  EXPECT_EQ(error_token(response, {{1, 1, 1, 1}, {.5, .9, .9, .2}}), 1U);  // the first of equals
  EXPECT_EQ(error_token(response, {{1, 1, 1, 1}, {0, 0, 1e-7, 0}}), std::nullopt);
  EXPECT_EQ(error_token({}, {}), std::nullopt);
}

// Judges as told; writes on with a fixed text.
struct ToldModels : RevisionModels {
  std::vector<Judgement> judgements;
  std::vector<TokenId> continuation;
  std::vector<std::uint64_t> streams;
  std::vector<std::int64_t> rooms;
  std::vector<Judgement> judge(const std::vector<Example>& examples, std::uint64_t) override {
    std::vector<Judgement> all = judgements;
    for (std::size_t i = 0; i < examples.size(); ++i) {
      all[i].teacher_tokens.resize(examples[i].response.size(), 1);
      all[i].divergences.resize(examples[i].response.size(), 0.0);
    }
    return all;
  }
  std::vector<std::vector<TokenId>> go_on(const std::vector<Example>& examples, const std::vector<std::int64_t>& room,
                                          std::uint64_t stream) override {
    streams.push_back(stream);
    rooms.insert(rooms.end(), room.begin(), room.end());
    std::vector<std::vector<TokenId>> more;
    for (std::size_t i = 0; i < examples.size(); ++i) {
      const auto count = std::min<std::size_t>(continuation.size(), static_cast<std::size_t>(room[i]));
      more.emplace_back(continuation.begin(), continuation.begin() + static_cast<std::ptrdiff_t>(count));
    }
    return more;
  }
};

TEST(Revision, ReplacesTheErrorTokenAndGoesOn) {
  ToldModels models;
  models.judgements = {{{5, 8, 9, 3}, {3.0, .4, 2.0, .9}}, {{6, 6}, {1, 2}}, {{4, 4}, {1, 2}}};
  models.continuation = {11, 12, 0};
  std::vector<Example> examples = {{{1}, {5, 7, 9, 2}, {{0, 2}}, 0}, {{1}, {6, 6}, {}, 1}, {{1, 1}, {4, 3}, {}, 2}};
  const RevisionReport report = revise(examples, models, {}, {0, 4}, 8, 1);
  EXPECT_THAT(examples[0].response, ElementsAre(5, 7, 9, 3, 11, 12, 0));
  EXPECT_TRUE(examples[0].spans.empty());
  EXPECT_THAT(examples[1].response, ElementsAre(6, 6));  // nothing differs
  EXPECT_THAT(examples[2].response, ElementsAre(4, 4));  // the corrected token ends the text
  EXPECT_THAT(models.rooms, ElementsAre(3));
  EXPECT_EQ(report.revised, 2);
  EXPECT_EQ(report.sequences, 3);
  EXPECT_EQ(report.candidates, 3);
  EXPECT_EQ(report.tokens, 8);
  EXPECT_EQ(report.places[9], 2);
}

TEST(Revision, RoundsDrawFromDifferentStreams) {
  ToldModels models;
  models.judgements = {{{9}, {1.0}}};
  models.continuation = {3, 3};
  std::vector<Example> examples = {{{1}, {5, 6}, {}, 0}};
  models.judgements[0].teacher_tokens = {9, 9};
  models.judgements[0].divergences = {0.0, 1.0};
  revise(examples, models, {.rounds = 3}, {0}, 20, 1);
  ASSERT_GE(models.streams.size(), 1U);
  for (std::size_t i = 1; i < models.streams.size(); ++i) EXPECT_NE(models.streams[i], models.streams[0]);
}

TEST(Revision, RespectsTheLongestLengthAndKeepsTheSuffixWhenAsked) {
  ToldModels models;
  models.judgements = {{{5, 8, 9, 2}, {0, 1, 0, 0}}};
  models.continuation = {11, 12, 13, 14, 15, 16};
  std::vector<Example> examples = {{{1, 1}, {5, 7, 9, 2}, {}, 0}};
  revise(examples, models, {}, {0}, 7, 1);
  EXPECT_THAT(examples[0].response, ElementsAre(5, 8, 11, 12, 13));
  examples = {{{1, 1}, {5, 7, 9, 2}, {}, 0}};
  revise(examples, models, {.keep_suffix = true}, {0}, 7, 1);
  EXPECT_THAT(examples[0].response, ElementsAre(5, 8, 9, 2));
}

// A chain of 20 states as teacher and one like it as student: revision makes sequences that the teacher finds likelier,
// more than the control does, with most of the gain in the first round.
class Chains : public RevisionModels {
 public:
  static constexpr std::size_t kStates = 20, kLength = 40;
  using Row = std::array<double, kStates>;

  explicit Chains(std::uint64_t seed) {
    Rng rng(seed);
    for (std::size_t from = 0; from < kStates; ++from) {
      // Dirichlet(0.15): gamma variables by the boost Gamma(a) = Gamma(a + 1) u^(1/a).
      for (double& value : teacher[from]) value = gamma(1.15, rng) * std::pow(rng.uniform(), 1 / 0.15);
      normalise(teacher[from]);
      for (std::size_t to = 0; to < kStates; ++to) {
        teacher[from][to] = 0.999 * teacher[from][to] + 0.001 / kStates;
        student[from][to] = 0.55 * teacher[from][to] + (from == to ? 0.25 : 0.0) + 0.02 * rng.uniform();
      }
      normalise(student[from]);
    }
  }

  std::vector<Judgement> judge(const std::vector<Example>& examples, std::uint64_t stream) override {
    Rng rng(stream);
    std::vector<Judgement> all;
    for (const Example& example : examples) {
      Judgement judgement;
      TokenId before = example.prompt.back();
      for (const TokenId token : example.response) {
        const Row &p = teacher[static_cast<std::size_t>(before)], &q = student[static_cast<std::size_t>(before)];
        judgement.teacher_tokens.push_back(draw(p, rng));
        double divergence = 0;
        for (std::size_t v = 0; v < kStates; ++v) divergence += p[v] * std::log(p[v] / q[v]);
        judgement.divergences.push_back(divergence);
        before = token;
      }
      all.push_back(judgement);
    }
    return all;
  }

  std::vector<std::vector<TokenId>> go_on(const std::vector<Example>& examples, const std::vector<std::int64_t>& room,
                                          std::uint64_t stream) override {
    Rng rng(stream);
    std::vector<std::vector<TokenId>> all;
    for (std::size_t i = 0; i < examples.size(); ++i) {
      TokenId last = examples[i].response.empty() ? examples[i].prompt.back() : examples[i].response.back();
      std::vector<TokenId> more;
      for (std::int64_t n = 0; n < room[i]; ++n)
        more.push_back(last = draw(student[static_cast<std::size_t>(last)], rng));
      all.push_back(more);
    }
    return all;
  }

  // Of a token, by the teacher.
  double surprise(const std::vector<Example>& examples) const {
    double sum = 0;
    for (const Example& example : examples) {
      TokenId before = example.prompt.back();
      for (const TokenId token : example.response) {
        sum -= std::log(teacher[static_cast<std::size_t>(before)][static_cast<std::size_t>(token)]);
        before = token;
      }
    }
    return sum / static_cast<double>(examples.size() * kLength);
  }

 private:
  static void normalise(Row& row) {
    const double sum = std::accumulate(row.begin(), row.end(), 0.0);
    for (double& value : row) value /= sum;
  }
  static double gamma(double shape, Rng& rng) {  // Marsaglia and Tsang 2000
    const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
      const double x = rng.normal(), v = std::pow(1 + c * x, 3);
      if (v > 0 && std::log(rng.uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
    }
  }
  static TokenId draw(const Row& row, Rng& rng) {
    double u = rng.uniform();
    for (std::size_t v = 0; v + 1 < kStates; ++v) {
      if (u < row[v]) return static_cast<TokenId>(v);
      u -= row[v];
    }
    return kStates - 1;
  }

  std::array<Row, kStates> teacher{}, student{};
};

TEST(Revision, OfMarkovChainsHelpsMoreThanItsControls) {
  constexpr std::size_t kRuns = 1500;
  double none = 0, once = 0, five = 0, random = 0;
  for (std::uint64_t chain = 1; chain <= 3; ++chain) {
    Chains models(chain);
    std::vector<Example> start(kRuns);
    Rng rng(chain + 10);
    for (Example& example : start) example.prompt = {static_cast<TokenId>(rng.below(Chains::kStates))};
    const auto written = models.go_on(start, std::vector<std::int64_t>(kRuns, Chains::kLength), 5);
    for (std::size_t i = 0; i < kRuns; ++i) start[i].response = written[i];
    const auto after = [&](const RevisionSettings& settings) {
      std::vector<Example> examples = start;
      revise(examples, models, settings, {}, Chains::kLength + 1, 77);
      return models.surprise(examples);
    };
    none += models.surprise(start);
    once += after({});
    five += after({.rounds = 5});
    random += after({.random_position = true});
  }
  EXPECT_LT(once, random);
  EXPECT_LT(random, none);
  EXPECT_GT(none - once, 0.55 * (none - five));
}

TEST(Schedule, OfTheGoldenChecks) {
  ScheduleSettings settings;
  settings.policy = SequencePolicy::kAdaptive;
  for (const double u : {0.0, 0.3, 0.999}) {
    EXPECT_EQ(sequence_source(settings, 0.0, u, 0, 100, 0, 4), SequenceSource::kData);
    EXPECT_EQ(sequence_source(settings, 1.0, u, 0, 100, 1000, 4), SequenceSource::kStudent);
    EXPECT_EQ(sequence_source(settings, 1.0, u, 100, 100, 1000, 4), SequenceSource::kReplay);
    EXPECT_EQ(sequence_source(settings, 1.0, u, 100, 100, 999, 4), SequenceSource::kStudent);  // not full yet
  }
  EXPECT_EQ(sequence_source(settings, 0.5, 0.6, 0, 100, 1000, 4), SequenceSource::kData);
  settings.buffer_capacity = 3;  // full, but without a batch
  EXPECT_EQ(sequence_source(settings, 1.0, 0.5, 100, 100, 3, 4), SequenceSource::kData);
  settings.policy = SequencePolicy::kMixed;
  EXPECT_EQ(sequence_source(settings, 0, 0.49, 0, 100, 0, 4), SequenceSource::kStudent);
  EXPECT_EQ(sequence_source(settings, 0, 0.5, 0, 100, 0, 4), SequenceSource::kData);
}

TEST(Schedule, ThresholdFollowsTheValidationLoss) {
  const ScheduleSettings settings;
  AdaptiveThreshold threshold;
  threshold.note(2.0, settings);
  EXPECT_EQ(threshold.threshold, 0);
  threshold.note(2.05, settings);
  EXPECT_EQ(threshold.threshold, 0);
  threshold.note(2.2, settings);
  EXPECT_DOUBLE_EQ(threshold.threshold, 0.1);
  for (int i = 0; i < 30; ++i) threshold.note(3.0 + i, settings);
  EXPECT_EQ(threshold.threshold, 1);
}

TEST(ReplayBuffer, ForgetsTheOldestAndDrawsDifferentOnes) {
  ReplayBuffer buffer(3);
  for (TokenId i = 0; i < 5; ++i) buffer.push({{1}, {i}, {}, i});
  ASSERT_EQ(buffer.size(), 3U);
  Rng rng(1);
  std::vector<TokenId> drawn;
  for (const Example& example : buffer.draw(3, rng)) drawn.push_back(example.response[0]);
  EXPECT_THAT(drawn, testing::UnorderedElementsAre(2, 3, 4));
}

}  // namespace
}  // namespace kinglet::mgsr
