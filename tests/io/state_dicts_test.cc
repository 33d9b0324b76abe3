// Where state dicts and optimizers hide inside the files of a checkpoint, and what becomes of each kind of optimizer.
#include "kinglet/io/state_dicts.h"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/files_in.h"
#include "tests/support/refusal.h"
#include "tests/support/state_dict_files.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/io/checkpoint.h"

namespace kinglet {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::put;
using testing_support::refusal;
using testing_support::StateDictFile;
using testing_support::TemporaryFolder;

const StateDictFile::Shapes kShapes = {{"a.weight", {4, 3}}, {"a.bias", {4}}, {"b.weight", {2, 4}}};

std::vector<std::string> names_of_dicts(const Checkpoint& checkpoint) {
  std::vector<std::string> names;
  for (const Parameter& parameter : checkpoint.parameters()) names.push_back(parameter.name);
  return names;
}

class StateDictsIn : public ::testing::Test {
 protected:
  // One file of these values.
  Checkpoint open(const std::vector<std::pair<std::string, PickleValue*>>& items) {
    PickleValue* root = file_.dict(items);
    std::move(file_).write(folder_ / "x.pt", root);
    return Checkpoint::open(folder_ / "x.pt");
  }

  TemporaryFolder folder_;
  StateDictFile file_;
};

TEST_F(StateDictsIn, AWholeFile) {
  PickleValue* model = file_.model(kShapes);
  std::move(file_).write(folder_ / "x.pt", model);
  const Checkpoint checkpoint = Checkpoint::open(folder_ / "x.pt");
  EXPECT_THAT(names_of_dicts(checkpoint), ElementsAre("a.weight", "a.bias", "b.weight"));
  EXPECT_EQ(checkpoint.optimizer(), OptimizerKind::kNone);
}

TEST_F(StateDictsIn, NestedWrappers) {
  PickleValue* state = file_.dict({{"net", file_.dict({{"state_dict", file_.model(kShapes)}})}});
  const Checkpoint checkpoint =
      open({{"epoch", file_.builder().integer(3)}, {"trainer", state}, {"optim", file_.optimizer(kShapes)}});
  EXPECT_THAT(names_of_dicts(checkpoint), ElementsAre("a.weight", "a.bias", "b.weight"));
  EXPECT_EQ(checkpoint.optimizer(), OptimizerKind::kAdam);
  EXPECT_TRUE(std::all_of(checkpoint.parameters().begin(), checkpoint.parameters().end(),
                          [](const Parameter& parameter) { return parameter.second_moment.has_value(); }));
}

TEST_F(StateDictsIn, TensorsBesideDictsOfTensorsAndTheirOptimizer) {
  const StateDictFile::Shapes shapes = {{"w", {3}}, {"sub.v", {2}}};
  PickleValue* root = file_.dict(
      {{"w", file_.tensor({3})}, {"sub", file_.dict({{"v", file_.tensor({2})}})}, {"optim", file_.optimizer(shapes)}});
  std::move(file_).write(folder_ / "x.pt", root);
  const Checkpoint checkpoint = Checkpoint::open(folder_ / "x.pt");
  EXPECT_THAT(names_of_dicts(checkpoint), ElementsAre("w", "sub.v"));
  EXPECT_EQ(checkpoint.optimizer(), OptimizerKind::kAdam);
}

TEST_F(StateDictsIn, DeeperThanFourWrappersTheyAreNotFound) {
  PickleValue* state = file_.model(kShapes);
  for (int i = 0; i < 6; ++i) state = file_.dict({{"level", state}});
  EXPECT_TRUE(open({{"root", state}}).parameters().empty());
}

// A model beside its average: the optimizer belongs to the model; the average is kept as it is.
TEST_F(StateDictsIn, AveragesAreNotTrained) {
  PickleValue* average = file_.model(kShapes);
  const Checkpoint checkpoint =
      open({{"ema_model", average}, {"model", file_.model(kShapes)}, {"optimizer", file_.optimizer(kShapes)}});
  EXPECT_EQ(checkpoint.parameters().size(), 3U);
  EXPECT_THAT(checkpoint.notes(), Contains(HasSubstr("ema_model")));
  const Region& weight = checkpoint.files()[0].regions[checkpoint.parameters()[0].weight.region];
  EXPECT_EQ(weight.label, "model.a.weight");
}

TEST_F(StateDictsIn, MomentumOnly) {
  const Checkpoint checkpoint =
      open({{"model", file_.model(kShapes)}, {"optimizer", file_.optimizer(kShapes, {"momentum_buffer"})}});
  EXPECT_EQ(checkpoint.optimizer(), OptimizerKind::kMomentum);
  EXPECT_TRUE(checkpoint.parameters()[0].first_moment);
  EXPECT_FALSE(checkpoint.parameters()[0].second_moment);
}

TEST_F(StateDictsIn, LionHasOneMoment) {
  const Checkpoint checkpoint =
      open({{"model", file_.model(kShapes)}, {"optimizer", file_.optimizer(kShapes, {"exp_avg"})}});
  EXPECT_EQ(checkpoint.optimizer(), OptimizerKind::kMomentum);
}

TEST_F(StateDictsIn, Amsgrad) {
  const Checkpoint checkpoint =
      open({{"model", file_.model(kShapes)},
            {"optimizer", file_.optimizer(kShapes, {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"})}});
  EXPECT_EQ(checkpoint.optimizer(), OptimizerKind::kAdamAmsgrad);
  EXPECT_TRUE(checkpoint.parameters()[2].max_second_moment);
}

TEST_F(StateDictsIn, OptimizersWithoutMomentsAreKeptAndNoted) {
  const Checkpoint checkpoint = open(
      {{"model", file_.model(kShapes)}, {"optimizer", file_.optimizer(kShapes, {"exp_avg_sq_row", "exp_avg_sq_col"})}});
  EXPECT_EQ(checkpoint.optimizer(), OptimizerKind::kOther);  // Adafactor
  EXPECT_THAT(checkpoint.notes(), Contains(HasSubstr("exp_avg_sq_row, exp_avg_sq_col")));
  EXPECT_EQ(checkpoint.parameters().size(), 3U);  // the weights alone
  EXPECT_FALSE(checkpoint.parameters()[0].first_moment);
}

TEST_F(StateDictsIn, EightBitOptimizers) {
  const Checkpoint checkpoint = open(
      {{"model", file_.model(kShapes)}, {"optimizer", file_.optimizer(kShapes, {"state1", "state2"}, DType::kU8)}});
  EXPECT_EQ(checkpoint.optimizer(), OptimizerKind::kOther);
  EXPECT_THAT(checkpoint.notes(), Contains(HasSubstr("state1, state2")));
}

TEST_F(StateDictsIn, ParametersWithoutState) {
  // The optimizer knows three parameters and has moments for one.
  PickleBuilder& builder = file_.builder();
  PickleValue* state = builder.dict(
      {{builder.integer(1), file_.dict({{"exp_avg", file_.tensor({4})}, {"exp_avg_sq", file_.tensor({4})}})}});
  PickleValue* ids = builder.list({builder.integer(0), builder.integer(1), builder.integer(2)});
  PickleValue* optimizer =
      file_.dict({{"state", state}, {"param_groups", builder.list({file_.dict({{"params", ids}})})}});
  const Checkpoint checkpoint = open({{"model", file_.model(kShapes)}, {"optimizer", optimizer}});
  ASSERT_EQ(checkpoint.parameters().size(), 3U);
  for (const Parameter& parameter : checkpoint.parameters()) {
    EXPECT_EQ(parameter.first_moment.has_value(), parameter.name == "a.bias") << parameter.name;
  }
}

TEST_F(StateDictsIn, NamesInsteadOfNumbers) {
  PickleBuilder& builder = file_.builder();
  PickleValue* state = file_.dict({{"b.weight", file_.dict({{"exp_avg", file_.tensor({2, 4})}})}});
  PickleValue* ids = builder.list({file_.text("b.weight"), file_.text("a.weight")});
  PickleValue* optimizer =
      file_.dict({{"state", state}, {"param_groups", builder.list({file_.dict({{"params", ids}})})}});
  const Checkpoint checkpoint = open({{"model", file_.model(kShapes)}, {"optimizer", optimizer}});
  EXPECT_EQ(checkpoint.pairing_rule(), "names kept by the optimizer");
  EXPECT_EQ(checkpoint.parameters()[0].name, "b.weight");
  EXPECT_TRUE(checkpoint.parameters()[0].first_moment);
}

TEST_F(StateDictsIn, GroupsWithoutParametersAreRefused) {
  PickleBuilder& builder = file_.builder();
  PickleValue* optimizer = file_.dict({{"state", builder.dict()}, {"param_groups", builder.list({file_.dict({})})}});
  EXPECT_THAT(refusal([&] {
                open({{"model", file_.model(kShapes)}, {"optimizer", optimizer}});
              }),
              HasSubstr("without a list of parameters"));
}

TEST_F(StateDictsIn, WrongShapesAreRefused) {
  StateDictFile::Shapes other = kShapes;
  other[2].second = {5, 4};
  EXPECT_THAT(refusal([&] {
                open({{"model", file_.model(kShapes)}, {"optimizer", file_.optimizer(other)}});
              }),
              HasSubstr("not of the same checkpoint"));
}

TEST_F(StateDictsIn, SmallFloatsAreParametersAndIntegersAreNot) {
  const Checkpoint checkpoint = open({{"model", file_.dict({{"w", file_.tensor({3}, DType::kBF16)},
                                                            {"h", file_.tensor({}, DType::kF16)},
                                                            {"count", file_.tensor({3}, DType::kI64)},
                                                            {"none", file_.tensor({0})}})}});
  EXPECT_THAT(names_of_dicts(checkpoint), ElementsAre("w", "h"));
}

TEST(StateDictFiles, ShardsOfOneModel) {
  const TemporaryFolder folder;
  for (int shard = 1; shard <= 2; ++shard) {
    StateDictFile file;
    PickleValue* model = file.model({{"w" + std::to_string(shard), {3}}});
    std::move(file).write(folder / ("pytorch_model-0000" + std::to_string(shard) + "-of-00002.bin"), model);
  }
  put(folder / "pytorch_model.bin.index.json",
      R"({"weight_map":{"w1":"pytorch_model-00001-of-00002.bin","w2":"pytorch_model-00002-of-00002.bin"}})");
  StateDictFile optimizer;
  PickleValue* root = optimizer.optimizer({{"w1", {3}}, {"w2", {3}}});
  std::move(optimizer).write(folder / "optimizer.pt", root);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_THAT(names_of_dicts(checkpoint), ElementsAre("w1", "w2"));
  EXPECT_EQ(checkpoint.optimizer(), OptimizerKind::kAdam);
}

TEST(StateDictFiles, TwoModelsWithTheSameNames) {
  const TemporaryFolder folder;
  for (const char* suffix : {"", "_1"}) {
    StateDictFile model, optimizer;
    PickleValue* weights = model.model(kShapes);
    std::move(model).write(folder / (std::string("pytorch_model") + suffix + ".bin"), weights);
    PickleValue* moments = optimizer.optimizer(kShapes);
    std::move(optimizer).write(folder / (std::string("optimizer") + suffix + ".bin"), moments);
  }
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  ASSERT_EQ(checkpoint.parameters().size(), 6U);
  EXPECT_EQ(checkpoint.parameters()[3].name, "pytorch_model_1.bin:a.weight");
  // Numbers go together: model 1 with optimizer 1.
  for (const Parameter& parameter : checkpoint.parameters()) {
    const std::string weights = checkpoint.files()[parameter.weight.file].name;
    const std::string moments = checkpoint.files()[parameter.first_moment->file].name;
    EXPECT_EQ(weights.find("_1") != std::string::npos, moments.find("_1") != std::string::npos) << weights << moments;
  }
}

TEST(StateDictFiles, AnOptimizerAlone) {
  const TemporaryFolder folder;
  StateDictFile optimizer;
  PickleValue* root = optimizer.optimizer(kShapes);
  std::move(optimizer).write(folder / "optimizer.pt", root);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_TRUE(checkpoint.parameters().empty());
  EXPECT_THAT(checkpoint.notes(), Contains(HasSubstr("without weights")));
}

TEST(Dicts, ItemsAndSearch) {
  PickleBuilder builder;
  PickleValue* one = builder.integer(1);
  const PickleValue* dict = builder.dict({{builder.string("a"), one}});
  EXPECT_EQ(dict_find(dict, "a"), one);
  EXPECT_EQ(dict_find(dict, "b"), nullptr);
  EXPECT_EQ(dict_find(nullptr, "a"), nullptr);
  EXPECT_TRUE(dict_items(one).empty());
}

}  // namespace
}  // namespace kinglet
