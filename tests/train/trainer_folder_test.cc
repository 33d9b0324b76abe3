#include "kinglet/train/trainer_folder.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"
#include "kinglet/base/rng.h"
#include "kinglet/io/checkpoint.h"
#include "kinglet/train/image_classifier.h"
#include "kinglet/train/plain_checkpoint_sink.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;

class TrainerFolder : public testing::Test {
 protected:
  TrainerFolder() {
    Rng rng(3);
    ImageSet set{256, 8, 8, {}, {}};
    for (int i = 0; i < 256; ++i) {
      set.labels.push_back(static_cast<std::uint8_t>(i % 3));
      for (int p = 0; p < 64; ++p) set.pixels.push_back(static_cast<std::uint8_t>(rng.below(80) + 60U * (i % 3)));
    }
    data_ = to_tensors(set, 0.4, 0.3);
    settings_.batch_size = 16;
    settings_.total_steps = 24;
  }

  struct Learner {
    ImageClassifier model{nullptr};
    std::unique_ptr<torch::optim::AdamW> optimizer;
  };
  static Learner make(std::uint64_t seed) {
    torch::manual_seed(seed);
    Learner learner{ImageClassifier(8, 8, 3), nullptr};
    learner.optimizer =
        std::make_unique<torch::optim::AdamW>(learner.model->parameters(), torch::optim::AdamWOptions(1e-3));
    return learner;
  }
  std::vector<double> train(Learner& learner, std::int64_t from, std::int64_t save_at = -1) {
    std::vector<double> losses;
    train_classifier(learner.model, *learner.optimizer, data_, settings_, from, [&](std::int64_t step, double loss) {
      losses.push_back(loss);
      if (step == save_at) save_training_state(folder_, {*learner.model, *learner.optimizer, step});
    });
    return losses;
  }

  const testing_support::TemporaryFolder temporary_;
  const fs::path folder_ = temporary_ / "checkpoint";
  ImageTensors data_;
  ClassifierSettings settings_;
};

TEST_F(TrainerFolder, ResumesToTheLastBit) {
  Learner learner = make(1);
  const std::vector<double> losses = train(learner, 0, 10);
  Learner resumed = make(2);
  TrainingState state{*resumed.model, *resumed.optimizer};
  load_training_state(folder_, state);
  EXPECT_EQ(state.step, 10);
  EXPECT_EQ(train(resumed, state.step), std::vector<double>(losses.begin() + 10, losses.end()));
  EXPECT_LT(losses.back(), losses.front());
}

TEST_F(TrainerFolder, WithoutTheOptimizerTheRunDiffers) {
  Learner learner = make(1);
  const std::vector<double> losses = train(learner, 0, 10);
  Learner resumed = make(2);
  TrainingState state{*resumed.model, *resumed.optimizer};
  load_training_state(folder_, state, false);
  const std::vector<double> other = train(resumed, state.step);
  EXPECT_EQ(other.front(), losses[10]);  // the first loss depends on the weights only
  EXPECT_NE(other, std::vector<double>(losses.begin() + 10, losses.end()));
}

TEST_F(TrainerFolder, IsPairedByNamesAsACheckpoint) {
  Learner learner = make(1);
  train(learner, 0, 10);
  const Checkpoint checkpoint = Checkpoint::open(folder_);
  EXPECT_EQ(checkpoint.optimizer(), OptimizerKind::kAdam);
  EXPECT_EQ(checkpoint.step(), 10);
  ASSERT_EQ(checkpoint.parameters().size(), learner.model->parameters().size());
  for (const Parameter& parameter : checkpoint.parameters()) {
    EXPECT_TRUE(parameter.first_moment && parameter.second_moment) << parameter.name;
  }
}

TEST_F(TrainerFolder, RefusesAnotherModelAndMissingFiles) {
  Learner learner = make(1);
  train(learner, 0, 10);
  torch::manual_seed(1);
  ImageClassifier larger(12, 12, 3);
  torch::optim::AdamW optimizer(larger->parameters(), torch::optim::AdamWOptions(1e-3));
  TrainingState state{*larger, optimizer};
  EXPECT_THROW(load_training_state(folder_, state), Error);
  fs::remove(folder_ / "optimizer.pt");
  Learner same = make(1);
  TrainingState same_state{*same.model, *same.optimizer};
  EXPECT_THROW(load_training_state(folder_, same_state), Error);
}

TEST_F(TrainerFolder, PlainSinkListsCommittedCheckpointsOnly) {
  PlainCheckpointSink sink(folder_);
  Learner learner = make(1);
  for (const std::int64_t step : {20, 3}) {
    save_training_state(sink.begin(step), {*learner.model, *learner.optimizer, step});
    sink.commit(step);
  }
  sink.begin(30);
  EXPECT_EQ(sink.steps(), (std::vector<std::int64_t>{3, 20}));
  EXPECT_TRUE(fs::exists(sink.open(20) / "model.safetensors"));
  EXPECT_THROW(sink.open(30), Error);
  EXPECT_THROW(sink.begin(20), Error);
}

TEST(LearningRate, WarmsUpThenFollowsACosine) {
  const ClassifierSettings settings;
  EXPECT_NEAR(learning_rate(settings, 0), settings.peak_lr / 50, 1e-12);
  EXPECT_NEAR(learning_rate(settings, 50), settings.peak_lr, 1e-12);
  EXPECT_NEAR(learning_rate(settings, (settings.total_steps + 50) / 2), settings.peak_lr / 2, 1e-9);
  EXPECT_NEAR(learning_rate(settings, settings.total_steps), 0, 1e-12);
}

}  // namespace
}  // namespace kinglet
