#include "kinglet/io/checkpoint_diff.h"

#include <cmath>
#include <fstream>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"
#include "tests/support/training_run.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using testing_support::SimulatedTensor;
using testing_support::TemporaryFolder;
using testing_support::TrainingRun;

class CheckpointDiff : public testing::Test {
 protected:
  CheckpointDiff() : run(5) {
    run.add_tensor("a.weight", {20, 10});
    run.add_tensor("b.weight", {30}, DType::kBF16);
    run.add_tensor("frozen", {7}, DType::kF32, false);
    run.advance();
    write("a");
  }
  void write(const std::string& name) { run.write(folder / name); }
  CheckpointDifference diff() const {
    return diff_checkpoints(Checkpoint::open(folder / "a"), Checkpoint::open(folder / "b"));
  }
  SimulatedTensor& tensor(std::size_t i) { return run.tensors[i]; }

  static const ParameterDifference& parameter(const CheckpointDifference& difference, const std::string& name) {
    for (const ParameterDifference& entry : difference.parameters) {
      if (entry.name == name) return entry;
    }
    throw std::runtime_error("no parameter " + name);
  }
  static std::vector<std::string> different_files(const CheckpointDifference& difference) {
    std::vector<std::string> names;
    for (const FileDifference& file : difference.files) {
      if (file.state != FileDifference::State::kEqual) names.push_back(file.name);
    }
    return names;
  }

  TemporaryFolder folder;
  TrainingRun run;
};

TEST_F(CheckpointDiff, NoDifference) {
  write("b");
  const CheckpointDifference difference = diff();
  EXPECT_TRUE(difference.same_bytes());
  EXPECT_EQ(difference.parameters.size(), 3U);
  EXPECT_EQ(difference.files.size(), 5U);
  EXPECT_EQ(difference.worst_weight_error(), 0);
}

TEST_F(CheckpointDiff, ErrorsOfOneWeightAreMeasured) {
  const double before = std::pow(static_cast<double>(tensor(0).weight[3]), 2);
  double square = 0;
  for (float value : tensor(0).weight) square += std::pow(static_cast<double>(value), 2);
  const float old = tensor(0).weight[3];
  tensor(0).weight[3] += 0.25F;
  tensor(0).weight[4] += 0.5F;
  const double step = static_cast<double>(tensor(0).weight[3]) - static_cast<double>(old);
  write("b");
  const CheckpointDifference difference = diff();
  EXPECT_FALSE(difference.same_bytes());
  const ParameterDifference& changed = parameter(difference, "a.weight");
  ASSERT_EQ(changed.arrays.size(), 3U);
  const ArrayDifference& weight = changed.arrays[0];
  EXPECT_EQ(weight.role, "weight");
  EXPECT_EQ(weight.n, 200U);
  EXPECT_EQ(weight.different, 2U);
  EXPECT_NEAR(weight.max_abs, 0.5, 1e-6);
  EXPECT_NEAR(weight.rms(), std::sqrt((step * step + 0.25) / 200), 1e-6);
  EXPECT_NEAR(weight.relative_rms(), std::sqrt((step * step + 0.25) / square), 1e-5);
  EXPECT_GT(square, before);
  EXPECT_TRUE(changed.arrays[1].same_bytes && changed.arrays[2].same_bytes);
  EXPECT_DOUBLE_EQ(difference.worst_weight_error(), weight.relative_rms());
  EXPECT_LT(difference.relative_rms("weight"), weight.relative_rms());  // the other weights are equal
  EXPECT_EQ(difference.relative_rms("exp_avg"), 0);
  EXPECT_THAT(different_files(difference), IsEmpty());  // only parameter data changed, checksums included
}

TEST_F(CheckpointDiff, MomentsAndHalfPrecisionAreCompared) {
  tensor(1).weight[0] = 1024;
  tensor(1).second[2] *= 2;
  write("b");
  const CheckpointDifference difference = diff();
  const ParameterDifference& changed = parameter(difference, "b.weight");
  EXPECT_NEAR(changed.arrays[0].max_abs, 1024, 1);
  EXPECT_EQ(changed.arrays[0].different, 1U);
  EXPECT_TRUE(changed.arrays[1].same_bytes);
  EXPECT_EQ(changed.arrays[2].role, "exp_avg_sq");
  EXPECT_EQ(changed.arrays[2].different, 1U);
  EXPECT_GT(difference.relative_rms("exp_avg_sq"), 0);
}

TEST_F(CheckpointDiff, OtherDataIsToldApartFromParameters) {
  write("b");
  std::ofstream(folder / "b" / "trainer_state.json") << "{\"global_step\": 9}\n";
  fs::remove(folder / "b" / "config.json");
  std::ofstream(folder / "b" / "notes.txt") << "new";
  const CheckpointDifference difference = diff();
  EXPECT_FALSE(difference.same_bytes());
  EXPECT_THAT(different_files(difference), ElementsAre("config.json", "notes.txt", "trainer_state.json"));
  EXPECT_EQ(difference.worst_weight_error(), 0);
}

TEST_F(CheckpointDiff, StepCountersAreOtherData) {
  const auto weights = run.tensors;
  run.advance();
  run.tensors = weights;  // the counters have moved, the parameters have not
  write("b");
  EXPECT_THAT(different_files(diff()),
              ElementsAre("model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json"));
}

TEST_F(CheckpointDiff, MissingParametersAndOtherShapesAreAWrongCheckpoint) {
  run.tensors[2].name = "thawed";
  write("b");
  CheckpointDifference difference = diff();
  EXPECT_THAT(difference.only_in_a, ElementsAre("frozen"));
  EXPECT_THAT(difference.only_in_b, ElementsAre("thawed"));
  EXPECT_TRUE(std::isinf(difference.worst_weight_error()));
  run.tensors[2].name = "frozen";
  run.tensors[0].shape = {10, 20};
  fs::remove_all(folder / "b");
  write("b");
  difference = diff();
  EXPECT_FALSE(parameter(difference, "a.weight").same_shape);
  EXPECT_TRUE(std::isinf(difference.worst_weight_error()));
}

TEST_F(CheckpointDiff, NanAgainstNanIsEqualAndAgainstNumbersInfinite) {
  tensor(0).weight[0] = std::numeric_limits<float>::quiet_NaN();
  fs::remove_all(folder / "a");
  write("a");
  write("b");
  EXPECT_EQ(diff().worst_weight_error(), 0);
  tensor(0).weight[0] = 1;
  fs::remove_all(folder / "b");
  write("b");
  const CheckpointDifference difference = diff();
  EXPECT_EQ(parameter(difference, "a.weight").arrays[0].different, 1U);
  EXPECT_TRUE(std::isinf(difference.worst_weight_error()));
}

}  // namespace
}  // namespace kinglet
