// Sampling as properties: every token once an epoch, the same after resuming, ranks that share one order.
#include "kinglet/text/sampler.h"

#include <algorithm>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/rng.h"

namespace kinglet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::refusal;

constexpr TokenId kEos = 9999;

// Token values are unique, so that every one can be followed.
class SamplerTest : public testing::Test {
 protected:
  TokenCorpus corpus(int documents, std::uint64_t longest, bool masked = false) {
    TokenCorpusWriter writer(folder_ / "corpus", 10000, 0);
    Rng rng(3);
    TokenId next = 0;
    for (int d = 0; d < documents; ++d) {
      std::vector<TokenId> tokens(d == 3 ? 0 : 1 + rng.below(longest));
      std::vector<std::uint8_t> trained(tokens.size(), 1);
      for (TokenId& token : tokens) token = next++;
      for (std::size_t i = 0; masked && i < trained.size() / 2; ++i) trained[i] = 0;
      writer.add(tokens, trained);
    }
    writer.commit();
    tokens_ = next;
    return TokenCorpus::open(folder_ / "corpus");
  }
  static SamplerOptions options(Packing packing, std::uint64_t length) {
    SamplerOptions result;
    result.packing = packing;
    result.sequence_length = length;
    result.seed = 5;
    result.separator = kEos;
    result.padding = 9998;
    result.window = 16;
    return result;
  }
  static std::vector<TrainingSequence> take(Sampler& sampler, int count) {
    std::vector<TrainingSequence> result;
    for (int i = 0; i < count; ++i) result.push_back(sampler.next());
    return result;
  }
  static void expect_same(const TrainingSequence& a, const TrainingSequence& b) {
    EXPECT_EQ(a.input_ids, b.input_ids);
    EXPECT_EQ(a.labels, b.labels);
    EXPECT_EQ(a.position_ids, b.position_ids);
    EXPECT_EQ(a.boundaries, b.boundaries);
  }

  testing_support::TemporaryFolder folder_;
  TokenId tokens_ = 0;
};

TEST_F(SamplerTest, ConcatenationGivesEveryTokenOnceAnEpoch) {
  const TokenCorpus corpus = this->corpus(40, 20);
  Sampler sampler(corpus, options(Packing::kConcatenate, 7));
  for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
    std::map<TokenId, int> seen;
    std::vector<TokenId> stream;
    while (sampler.epoch() == epoch) {
      const TrainingSequence sequence = sampler.next();
      ASSERT_EQ(sequence.input_ids.size(), 7U);
      EXPECT_EQ(sequence.input_ids, sequence.labels);
      for (const TokenId id : sequence.input_ids) ++seen[id];
    }
    // Sequences reach over the edges of epochs by less than one sequence.
    int wrong = 0;
    for (TokenId id = 0; id < tokens_; ++id) wrong += seen[id] == 1 ? 0 : 1;
    EXPECT_LE(wrong, 14);
  }
}

TEST_F(SamplerTest, SeekingGivesWhatReadingGives) {
  const TokenCorpus corpus = this->corpus(40, 20);
  for (const Packing packing : {Packing::kConcatenate, Packing::kBestFit}) {
    for (const bool with_separator : {true, false}) {
      SamplerOptions options = this->options(packing, 11);
      if (!with_separator) options.separator.reset();
      Sampler reading(corpus, options), seeking(corpus, options);
      const std::vector<TrainingSequence> all = take(reading, 200);  // several epochs
      for (const std::uint64_t place : {0, 1, 57, 3, 199, 198, 120, 121}) {
        seeking.seek(place);
        EXPECT_EQ(seeking.state().sequences, place);
        expect_same(seeking.next(), all[place]);
      }
    }
  }
}

TEST_F(SamplerTest, ASeparatorFollowsEveryDocumentAndPositionsStartAnew) {
  const TokenCorpus corpus = this->corpus(40, 20);
  Sampler sampler(corpus, options(Packing::kConcatenate, 50));
  for (const TrainingSequence& sequence : take(sampler, 30)) {
    EXPECT_EQ(sequence.boundaries.front(), 0U);
    EXPECT_EQ(sequence.boundaries.back(), 50U);
    for (std::size_t p = 0; p + 1 < sequence.boundaries.size(); ++p) {
      const std::size_t begin = sequence.boundaries[p], end = sequence.boundaries[p + 1];
      ASSERT_LT(begin, end);
      for (std::size_t i = begin; i < end; ++i) {
        EXPECT_EQ(sequence.position_ids[i], static_cast<std::int32_t>(i - begin));
        const bool last = i + 1 == end;
        if (sequence.input_ids[i] == kEos) {
          EXPECT_TRUE(last);
        }
        if (i > begin && sequence.input_ids[i] != kEos) {
          EXPECT_EQ(sequence.input_ids[i], sequence.input_ids[i - 1] + 1);
        }
        if (last && end < 50) {
          EXPECT_EQ(sequence.input_ids[i], kEos);
        }
      }
    }
  }
}

TEST_F(SamplerTest, BestFitKeepsDocumentsWholeAndGivesEachOnceAnEpoch) {
  const TokenCorpus corpus = this->corpus(100, 20);
  Sampler sampler(corpus, options(Packing::kBestFit, 24));
  std::map<TokenId, int> seen;
  std::uint64_t used = 0, all = 0;
  while (true) {
    const TrainingSequence sequence = sampler.next();
    if (sampler.epoch() > 0) break;
    all += 24;
    used += sequence.boundaries.back();
    for (std::size_t i = 0; i < 24; ++i) {
      const TokenId id = sequence.input_ids[i];
      ++seen[id];
      const bool padding = i >= sequence.boundaries.back();
      EXPECT_EQ(id == 9998, padding);
      EXPECT_EQ(sequence.labels[i], padding ? kUntrainedLabel : id);
    }
    for (std::size_t p = 0; p + 1 < sequence.boundaries.size(); ++p) {
      EXPECT_EQ(sequence.input_ids[sequence.boundaries[p + 1] - 1], kEos) << "a document was cut";
    }
  }
  for (TokenId id = 0; id < tokens_; ++id) EXPECT_EQ(seen[id], 1);
  EXPECT_EQ(seen[kEos], 100);
  EXPECT_EQ(sampler.truncated(), 0U);
  EXPECT_GT(used * 100, all * 85) << "best fit wastes too much";
}

TEST_F(SamplerTest, BestFitCutsTheEndOfWhatIsTooLong) {
  const TokenCorpus corpus = this->corpus(20, 30);
  Sampler sampler(corpus, options(Packing::kBestFit, 10));
  take(sampler, 30);
  EXPECT_GT(sampler.truncated(), 0U);
}

TEST_F(SamplerTest, MaskedTokensAreNotLabels) {
  const TokenCorpus corpus = this->corpus(40, 20, /*masked=*/true);
  for (const Packing packing : {Packing::kConcatenate, Packing::kBestFit}) {
    SamplerOptions some = options(packing, 32);
    some.separate_documents = true;
    Sampler sampler(corpus, some);
    std::map<TokenId, bool> trained;
    for (std::uint64_t d = 0, id = 0; d < corpus.documents(); ++d) {
      for (std::uint64_t i = 0; i < corpus.length(d); ++i) {
        trained[static_cast<TokenId>(id++)] = i > 0 && corpus.trained(d, i);
      }
    }
    for (const TrainingSequence& sequence : take(sampler, 40)) {
      for (std::size_t i = 0; i < sequence.boundaries.back(); ++i) {
        const TokenId id = sequence.input_ids[i];
        if (id == kEos) continue;
        EXPECT_EQ(sequence.labels[i], trained[id] ? id : kUntrainedLabel);
      }
    }
  }
}

TEST_F(SamplerTest, ResumingGivesExactlyWhatWouldHaveCome) {
  const TokenCorpus corpus = this->corpus(37, 25);
  for (const Packing packing : {Packing::kConcatenate, Packing::kBestFit}) {
    const SamplerOptions some = options(packing, 16);
    Sampler whole(corpus, some);
    const std::vector<TrainingSequence> expected = take(whole, 150);
    for (int stop = 0; stop < 120; stop += 7) {
      Sampler first(corpus, some), second(corpus, some);
      take(first, stop);
      second.from_json(parse_json(first.to_json().dump(), "state"));
      for (int i = stop; i < stop + 30; ++i) expect_same(second.next(), expected[static_cast<std::size_t>(i)]);
    }
  }
}

TEST_F(SamplerTest, RanksShareTheOrderOfOneProcess) {
  const TokenCorpus corpus = this->corpus(37, 25);
  for (const Packing packing : {Packing::kConcatenate, Packing::kBestFit}) {
    SamplerOptions some = options(packing, 16);
    Sampler alone(corpus, some);
    const std::vector<TrainingSequence> expected = take(alone, 120);
    for (const std::uint64_t world : {2, 3, 5}) {
      some.world_size = world;
      std::vector<std::unique_ptr<Sampler>> ranks;
      for (some.rank = 0; some.rank < world; ++some.rank) ranks.push_back(std::make_unique<Sampler>(corpus, some));
      for (std::size_t i = 0; i + world <= 120; i += world) {
        for (std::size_t r = 0; r < world; ++r) expect_same(ranks[r]->next(), expected[i + r]);
        for (const auto& rank : ranks) EXPECT_EQ(rank->state(), ranks[0]->state());
      }
    }
  }
}

TEST_F(SamplerTest, ARunGoesOnWithAnotherNumberOfProcesses) {
  const TokenCorpus corpus = this->corpus(37, 25);
  SamplerOptions some = options(Packing::kConcatenate, 16);
  Sampler alone(corpus, some);
  const std::vector<TrainingSequence> expected = take(alone, 60);
  some.world_size = 4;
  some.rank = 2;
  Sampler four(corpus, some);
  take(four, 3);
  some.world_size = 2;
  some.rank = 1;
  Sampler two(corpus, some);
  two.from_json(four.to_json());
  expect_same(two.next(), expected[13]);
  expect_same(two.next(), expected[15]);
}

TEST_F(SamplerTest, SeedsAndEpochsHaveTheirOwnOrder) {
  const TokenCorpus corpus = this->corpus(37, 25);
  SamplerOptions some = options(Packing::kConcatenate, 16);
  Sampler a(corpus, some);
  some.seed = 6;
  Sampler b(corpus, some);
  EXPECT_NE(a.next().input_ids, b.next().input_ids);
  some.shuffle = false;
  Sampler plain(corpus, some);
  EXPECT_EQ(plain.next().input_ids[0], 0);
}

TEST_F(SamplerTest, AStateOfOtherDataOrOptionsIsRefused) {
  const TokenCorpus corpus = this->corpus(37, 25);
  SamplerOptions some = options(Packing::kConcatenate, 16);
  const Json state = Sampler(corpus, some).to_json();
  some.sequence_length = 17;
  Sampler longer(corpus, some);
  EXPECT_THAT(refusal([&] { longer.from_json(state); }), HasSubstr("sequence_length"));
  some.sequence_length = 16;
  Sampler same(corpus, some);
  for (const char* name : {"document", "corpus", "seed"}) {
    Json broken = state;
    broken.erase(name);
    EXPECT_THAT(refusal([&] { same.from_json(broken); }), HasSubstr(name));
  }
  Json beyond = state;
  beyond["offset"] = 1000;
  EXPECT_THAT(refusal([&] { same.from_json(beyond); }), HasSubstr("outside"));
  EXPECT_THAT(refusal([&] { same.from_json(5); }), HasSubstr("object"));
  some.rank = 1;
  EXPECT_THAT(refusal([&] { Sampler(corpus, some); }), HasSubstr("rank"));
}

TEST_F(SamplerTest, AnEmptyCorpusIsRefused) {
  const TokenCorpus corpus = this->corpus(0, 25);
  EXPECT_THAT(refusal([&] { Sampler(corpus, options(Packing::kConcatenate, 16)); }), HasSubstr("empty"));
}

}  // namespace
}  // namespace kinglet
