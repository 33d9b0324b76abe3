// DeepSpeed's ZeRO files: flat vectors with their moments.
#include "kinglet/io/deepspeed.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/golden_files.h"
#include "tests/support/state_dict_files.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/io/checkpoint.h"

namespace kinglet {
namespace {

using ::testing::ElementsAre;
using testing_support::golden;
using testing_support::StateDictFile;
using testing_support::TemporaryFolder;

TEST(ZeroVectors, OfBothStages) {
  for (const char* name : {"checkpoints/zero2/global_step7/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt",
                           "checkpoints/zero3/global_step7/zero_pp_rank_0_mp_rank_00_optim_states.pt"}) {
    const TorchFile file = TorchFile::open(golden(name), false);
    const auto vectors = find_zero_vectors(file);
    ASSERT_EQ(vectors.size(), 2U);
    EXPECT_THAT(vectors[0].weight->shape, ElementsAre(24));
    EXPECT_THAT(vectors[1].weight->shape, ElementsAre(7));
    for (std::size_t g = 0; g < 2; ++g) {
      EXPECT_EQ(vectors[g].group, g);
      ASSERT_NE(vectors[g].first_moment, nullptr);
      ASSERT_NE(vectors[g].second_moment, nullptr);
      EXPECT_EQ(vectors[g].first_moment->shape, vectors[g].weight->shape);
    }
  }
}

TEST(ZeroVectors, OtherFilesHaveNone) {
  for (const char* name : {"checkpoints/loop-3.pt", "checkpoints/zero2/global_step7/mp_rank_00_model_states.pt",
                           "checkpoints/named/opt.pth"}) {
    EXPECT_TRUE(find_zero_vectors(TorchFile::open(golden(name), false)).empty()) << name;
  }
}

class HandMadeZero : public ::testing::Test {
 protected:
  // Vectors and optimizer of stage 2 in one file.
  std::vector<ZeroVectors> found(PickleValue* vectors, PickleValue* optimizer) {
    PickleValue* zero =
        maker_.dict({{"single_partition_of_fp32_groups", vectors}, {"base_optimizer_state", optimizer}});
    PickleValue* root = maker_.dict({{"optimizer_state_dict", zero}});
    std::move(maker_).write(folder_ / "x.pt", root);
    file_ = std::make_unique<TorchFile>(TorchFile::open(folder_ / "x.pt"));
    return find_zero_vectors(*file_);
  }

  TemporaryFolder folder_;
  StateDictFile maker_;
  std::unique_ptr<TorchFile> file_;
};

TEST_F(HandMadeZero, BeforeTheFirstStepThereAreNoMoments) {
  PickleValue* flat = maker_.builder().list({maker_.tensor({8}), maker_.tensor({0}), maker_.builder().none()});
  const auto vectors = found(flat, maker_.dict({{"state", maker_.builder().dict()}}));
  ASSERT_EQ(vectors.size(), 1U);  // empty partitions and placeholders are left out
  EXPECT_EQ(vectors[0].first_moment, nullptr);
  EXPECT_EQ(vectors[0].second_moment, nullptr);
}

TEST_F(HandMadeZero, MomentsOfAnotherLengthAreNotPaired) {
  PickleValue* flat = maker_.builder().list({maker_.tensor({8}), maker_.tensor({4}), maker_.tensor({5})});
  PickleBuilder& builder = maker_.builder();
  PickleValue* states = builder.dict(
      {{builder.integer(0), maker_.dict({{"exp_avg", maker_.tensor({7})}, {"exp_avg_sq", maker_.tensor({8})}})},
       {builder.integer(1), maker_.dict({{"exp_avg", maker_.tensor({4})}})},
       {builder.integer(2), maker_.dict({{"exp_avg", maker_.tensor({5})}, {"exp_avg_sq", maker_.tensor({6})}})}});
  const auto vectors = found(flat, maker_.dict({{"state", states}}));
  ASSERT_EQ(vectors.size(), 3U);
  EXPECT_EQ(vectors[0].first_moment, nullptr);
  EXPECT_EQ(vectors[0].second_moment, nullptr);
  EXPECT_NE(vectors[1].first_moment, nullptr);
  EXPECT_EQ(vectors[1].second_moment, nullptr);
  EXPECT_NE(vectors[2].first_moment, nullptr);
  EXPECT_EQ(vectors[2].second_moment, nullptr);
}

// The groups say which state belongs to which vector.
// As DeepSpeed writes the last rank: weights without the padding, moments with it.
TEST_F(HandMadeZero, APaddedVectorIsPairedByItsStorage) {
  PickleBuilder& b = maker_.builder();
  PickleValue* weight = maker_.tensor({896});
  weight->items[1]->items[2] = b.tuple({b.integer(895)});
  PickleValue* state = maker_.dict({{"exp_avg", maker_.tensor({896})}, {"exp_avg_sq", maker_.tensor({896})}});
  const auto vectors = found(b.list({weight}), maker_.dict({{"state", b.dict({{b.integer(0), state}})}}));
  ASSERT_EQ(vectors.size(), 1U);
  EXPECT_THAT(vectors[0].weight->shape, ElementsAre(895));
  EXPECT_NE(vectors[0].first_moment, nullptr);
  EXPECT_NE(vectors[0].second_moment, nullptr);
  const Checkpoint checkpoint = Checkpoint::open(folder_ / "x.pt");
  ASSERT_EQ(checkpoint.parameters().size(), 1U);
  EXPECT_THAT(checkpoint.parameters()[0].shape, ElementsAre(896));
  EXPECT_TRUE(checkpoint.parameters()[0].second_moment.has_value());
}

// As ZeRO-3 writes its vectors: tensors with attributes of their own.
TEST_F(HandMadeZero, TensorsRebuiltFromTheirType) {
  PickleBuilder& b = maker_.builder();
  PickleValue* plain = maker_.tensor({12});
  PickleValue* weight = b.call(b.global("torch._tensor", "_rebuild_from_type_v2"),
                               {plain->items[0], b.global("torch", "Tensor"), plain->items[1], b.dict()});
  PickleValue* state = maker_.dict({{"exp_avg", maker_.tensor({12})}, {"exp_avg_sq", maker_.tensor({12})}});
  const auto vectors = found(b.list({weight}), maker_.dict({{"state", b.dict({{b.integer(0), state}})}}));
  ASSERT_EQ(vectors.size(), 1U);
  EXPECT_NE(vectors[0].second_moment, nullptr);
}

TEST_F(HandMadeZero, ParameterNumbersOfTheGroups) {
  PickleValue* flat = maker_.builder().list({maker_.tensor({4}), maker_.tensor({4})});
  PickleBuilder& builder = maker_.builder();
  PickleValue* first = maker_.tensor({4});
  PickleValue* states = builder.dict({{builder.integer(7), maker_.dict({{"exp_avg", first}})}});
  PickleValue* groups = builder.list({maker_.dict({{"params", builder.list({builder.integer(3)})}}),
                                      maker_.dict({{"params", builder.list({builder.integer(7)})}})});
  const auto vectors = found(flat, maker_.dict({{"state", states}, {"param_groups", groups}}));
  ASSERT_EQ(vectors.size(), 2U);
  EXPECT_EQ(vectors[0].first_moment, nullptr);
  EXPECT_NE(vectors[1].first_moment, nullptr);
}

TEST_F(HandMadeZero, WrongKinds) { EXPECT_TRUE(found(maker_.dict({}), maker_.builder().none()).empty()); }

}  // namespace
}  // namespace kinglet
