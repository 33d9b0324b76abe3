#include "kinglet/train/language_trainer.h"

#include <cmath>
#include <fstream>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/optim/adamw.h>

#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_language.h"

#include "kinglet/base/error.h"
#include "kinglet/io/checkpoint.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/nn/torch.h"
#include "kinglet/train/torch_threads.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::refusal;
using testing_support::TemporaryFolder;
using testing_support::TinyRun;

bool equal(const Decoder& a, const Decoder& b) {
  const auto left = a.named_parameters(), right = b.named_parameters();
  for (const auto& item : left) {
    if (!at::equal(item.value(), right[item.key()])) return false;
  }
  return true;
}

class LanguageTrainerTest : public testing::TestWithParam<const char*> {};

TEST_P(LanguageTrainerTest, LearnsARule) {
  TinyRun run(GetParam());
  const double before = run.steps(1)[0];
  EXPECT_NEAR(before, std::log(32.0), 0.3);
  run.steps(150);
  EXPECT_LT(run.trainer->evaluate(*run.data, 10), 0.9);
}

// A run that stops and goes on in other objects is the uninterrupted one to the last bit.
TEST_P(LanguageTrainerTest, ResumesExactly) {
  const TemporaryFolder folder;
  TinyRun whole(GetParam());
  const auto expected = whole.steps(12);

  TinyRun first(GetParam());
  first.steps(5);
  first.trainer->save(folder / "checkpoint-5");
  TinyRun second(GetParam());
  second.decoder->initialize(99);
  second.trainer->load(folder / "checkpoint-5");
  EXPECT_EQ(second.trainer->steps(), 5);
  EXPECT_EQ(second.steps(7), std::vector<double>(expected.begin() + 5, expected.end()));
  EXPECT_TRUE(equal(*whole.decoder, *second.decoder));
}

// The checkpoint is one that the store pairs without help: every weight with its two moments.
TEST_P(LanguageTrainerTest, CheckpointsPairCompletely) {
  const TemporaryFolder folder;
  TinyRun run(GetParam());
  run.steps(2);
  run.trainer->save(folder / "checkpoint-2");
  const Checkpoint checkpoint = Checkpoint::open(folder / "checkpoint-2");
  EXPECT_EQ(checkpoint.parameters().size(), file_weights(*run.decoder).size());
  for (const Parameter& parameter : checkpoint.parameters()) {
    EXPECT_TRUE(parameter.first_moment && parameter.second_moment) << parameter.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, LanguageTrainerTest, testing::Values("llama", "gpt2", "gpt_neox", "qwen3"),
                         [](const auto& family) { return std::string(family.param); });

// Two batches of 4 make the step of one batch of 8, up to rounding.
TEST(LanguageTrainer, AccumulationEqualsALargerBatch) {
  LanguageSettings settings = TinyRun::usual();
  settings.accumulation = 2;
  TinyRun parts("llama", settings, 4), whole("llama", TinyRun::usual(), 8);
  const auto a = parts.steps(5), b = whole.steps(5);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 2e-4);
}

TEST(LanguageTrainer, RecomputationChangesNothing) {
  TinyRun kept("llama"), again("llama");
  again.decoder->set_checkpointing(true);
  EXPECT_EQ(kept.steps(4), again.steps(4));
  EXPECT_TRUE(equal(*kept.decoder, *again.decoder));
}

TEST(LanguageTrainer, BFloat16LearnsAsWell) {
  LanguageSettings settings = TinyRun::usual();
  settings.precision = nn::Precision::kBFloat16;
  TinyRun run("llama", settings);
  run.steps(150);
  EXPECT_LT(run.trainer->evaluate(*run.data, 10), 0.9);
}

// The same steps as torch.optim.AdamW's (weights, moments) on the same gradients.
TEST(AdamW, AgreesWithLibTorch) {
  torch::manual_seed(1);
  at::Tensor ours = torch::randn({300, 70}), theirs = ours.clone().requires_grad_();
  ours.requires_grad_();
  AdamW optimizer({{"w", ours}}, {0.9, 0.95, 1e-8, 0.1});
  torch::optim::AdamW reference({theirs}, torch::optim::AdamWOptions(1e-2).betas({0.9, 0.95}).weight_decay(0.1));
  for (int i = 0; i < 20; ++i) {
    const at::Tensor gradient = torch::randn_like(theirs);
    ours.mutable_grad() = gradient * 4.0;
    theirs.mutable_grad() = gradient;
    EXPECT_NEAR(optimizer.gradient_norm(), (gradient * 4.0).norm().item<double>(), 1e-2);
    optimizer.step(1e-2, 0.25);
    reference.step();
  }
  EXPECT_LT((ours - theirs).abs().max().item<double>(), 1e-5);
}

TEST(LanguageTrainer, StopsAtALossThatIsNotFinite) {
  TinyRun run("llama");
  run.steps(2);
  {
    const at::NoGradGuard no_grad;
    run.decoder->named_parameters()["final_norm.weight"].fill_(std::numeric_limits<float>::quiet_NaN());
  }
  const at::Tensor before = run.decoder->named_parameters()["lm_head"].clone();
  try {
    run.trainer->step();
    FAIL() << "a loss of NaN was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFailed);
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("step 3"), HasSubstr("nan")));
  }
  EXPECT_TRUE(at::equal(before, run.decoder->named_parameters()["lm_head"]));
  EXPECT_EQ(run.trainer->steps(), 2);
}

TEST(LanguageTrainer, RefusesOtherDataAndBrokenCheckpoints) {
  const TemporaryFolder folder;
  TinyRun run("llama");
  run.steps(1);
  const fs::path checkpoint = folder / "checkpoint-1";
  run.trainer->save(checkpoint);
  TinyRun other("llama", TinyRun::usual(), 8);
  EXPECT_THAT(refusal([&] { other.trainer->load(checkpoint); }), HasSubstr("not that of the checkpoint"));
  TinyRun neox("gpt_neox");
  EXPECT_THAT(refusal([&] { neox.trainer->load(checkpoint); }), HasSubstr("gpt_neox.embed_in.weight is missing"));
  fs::remove(checkpoint / "optimizer.pt");
  TinyRun again("llama");
  EXPECT_THAT(refusal([&] { again.trainer->load(checkpoint); }), HasSubstr("optimizer.pt"));
}

TEST(TokenWindows, VisitEveryWindowOnceAnEpoch) {
  std::vector<std::int32_t> tokens(101);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i);
  const TokenWindows data(tokens, 5, 10, 1);
  ASSERT_EQ(data.windows(), 10);
  std::vector<std::int64_t> first, second;
  for (int number = 0; number < 4; ++number) {
    const LanguageBatch batch = data.batch(number);
    EXPECT_TRUE(at::equal(batch.labels, batch.tokens + 1));
    for (int row = 0; row < 5; ++row) {
      (number < 2 ? first : second).push_back(batch.tokens[row][0].item<std::int64_t>());
    }
  }
  EXPECT_NE(first, second);
  EXPECT_THAT(first, testing::UnorderedElementsAre(0, 10, 20, 30, 40, 50, 60, 70, 80, 90));
  EXPECT_THAT(second, testing::UnorderedElementsAreArray(first));
  EXPECT_THROW(TokenWindows(tokens, 1, 101, 1), Error);
}

}  // namespace
}  // namespace kinglet
